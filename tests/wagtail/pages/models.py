"""A page with one StreamField."""

from wagtail.admin.panels import FieldPanel
from wagtail.blocks import RichTextBlock
from wagtail.fields import StreamField
from wagtail.models import Page

from django_meetergo.contrib.wagtail.blocks import BookingBlock


class ClinicPage(Page):
    body = StreamField([("text", RichTextBlock()), ("booking", BookingBlock())], blank=True)

    content_panels = [*Page.content_panels, FieldPanel("body")]
    template = "pages/clinic_page.html"
