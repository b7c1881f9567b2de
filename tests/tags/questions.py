"""Forms with questions, as a site would write them."""

from django import forms


class IntroForm(forms.Form):
    reason = forms.ChoiceField(
        label="What is it about?",
        choices=[("shoulder", "My shoulder"), ("back", "My back")],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what it is about"},
    )
    since = forms.DateField(label="Since when?", required=False)
    budget = forms.DecimalField(label="Budget", required=False)
    ways = forms.MultipleChoiceField(
        label="How did you hear of us?",
        choices=[("friend", "A friend"), ("doctor", "A doctor")],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    first_time = forms.BooleanField(label="This is my first visit", required=False)
    words = forms.CharField(label="In your words", required=False, widget=forms.Textarea)

    def clean(self):
        given = super().clean()
        if given.get("reason") == "back" and not given.get("since"):
            raise forms.ValidationError("Say since when your back hurts.")
        return given


class WidgetsForm(forms.Form):
    """Widgets that consist of several inputs, hidden inputs, labels that Django derives from the name."""

    when = forms.SplitDateTimeField(label="When was it?", required=False)
    born = forms.DateField(label="Born", widget=forms.SelectDateWidget, required=False)
    source = forms.CharField(widget=forms.HiddenInput, initial="newsletter", required=False)
    favourite_colour = forms.CharField(required=False)
    agreed = forms.BooleanField(label="I agree", help_text="You can withdraw this later.", required=False)


class ManyForm(forms.Form):
    """One question more than the limit."""


for number in range(50):
    ManyForm.base_fields[f"question_{number}"] = forms.CharField()


class FileForm(forms.Form):
    scan = forms.FileField()


class LateFileForm(forms.Form):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["scan"] = forms.ImageField()


class PartFileForm(forms.Form):
    class Part(forms.MultiValueField):
        def __init__(self):
            super().__init__(
                [forms.CharField(), forms.FileField()], widget=forms.MultiWidget([forms.TextInput])
            )

    scan = Part()


class RequestForm(forms.Form):
    """Takes the request, as a site does that knows its visitors."""

    nickname = forms.CharField()

    def __init__(self, *args, request, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["nickname"].initial = request.COOKIES.get("nickname", request.method)


class ExtendedRequestForm(RequestForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["nickname"].label = "What do friends call you?"


NO_FORM = {"reason": forms.CharField()}
