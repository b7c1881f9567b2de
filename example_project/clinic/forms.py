from django import forms
from django.utils.translation import gettext_lazy as _


class ConsultationForm(forms.Form):
    """Questions that help to prepare a consultation. Questions about health are left to the conversation."""

    topic = forms.ChoiceField(
        label=_("What would you like to talk about?"),
        choices=[
            ("plan", _("A plan for the coming weeks")),
            ("findings", _("Findings from somewhere else")),
            ("exercises", _("Exercises for home")),
            ("other", _("Something else")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose what you would like to talk about")},
    )
    preparation = forms.CharField(
        label=_("What should we prepare?"),
        help_text=_("For example an interpreter, or the lift to the garden house."),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    was_here = forms.BooleanField(label=_("I have been to the practice before"), required=False)
