"""Tags for meetergo's official embed."""

import json
import re
from html import unescape
from types import SimpleNamespace

import pytest
from django.core.checks import run_checks

from django_meetergo.embed import EmbedUrlNotAllowed, build_embed_url, validate_embed_url
from django_meetergo.models import MeetingType
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.presentation.tag_arguments import TagUsageError

URL = "https://cal.meetergo.com/john-smith/discovery-call"
TAGS = [
    "{% meetergo_inline url %}",
    '{% meetergo_button url "Book" %}',
    '{% meetergo_floating_button url "Book" %}',
    '{% meetergo_sidebar url "Book" %}',
]


def read_options(text):
    return [
        json.loads(each) for each in re.findall(r'<script id="meetergo-init-\d+"[^>]*>(.*?)</script>', text)
    ]


def test_known_fields_are_in_the_url(site_page):
    text = site_page.render(
        "{% meetergo_inline url known email='jane.doe@example.com' %}",
        url=URL,
        known={"first_name": "Jane", "last_name": "Doe", "company": ""},
    )
    address = f"{URL}?firstname=Jane&lastname=Doe&lastName=Doe&email=jane.doe%40example.com"
    assert f'class="meetergo-iframe" data-src="{address}"' in unescape(text)
    assert f'<noscript><iframe src="{address}&embed=true"' in unescape(text)


def test_a_button_is_a_link_that_works_without_the_script(site_page):
    text = site_page.render(
        '{% meetergo_button url "Book" email=email %}', url=URL, email='a"<b>@example.com'
    )
    assert f'href="{URL}"' in text
    assert f'data-meetergo-link="{URL}?email=a%22%3Cb%3E%40example.com"' in text
    assert ">Book</a>" in text


def test_a_known_field_replaces_the_same_one_in_the_url():
    assert build_embed_url(f"{URL}?lang=de&email=old", {"email": "new"}) == f"{URL}?lang=de&email=new"


def test_a_meeting_type_can_be_given_in_place_of_a_url(site_page):
    kind = MeetingType(name="Call", booking_url=URL)
    assert f'data-src="{URL}"' in site_page.render("{% meetergo_inline kind %}", kind=kind)


def test_launchers_have_their_own_options_and_forward_no_query(site_page):
    """The query of the page must not replace known fields."""
    text = site_page.render(
        '{% meetergo_floating_button url "Book" position="top-left" email="a@b.example" %}'
        '{% meetergo_sidebar url "Talk to us" width="400px" %}{% meetergo_script %}',
        url=URL,
    )
    address = f"{URL}?email=a%40b.example"
    floating = {"link": address, "text": "Book", "position": "top-left", "animation": "none"}
    sidebar = {"link": URL, "buttonText": "Talk to us", "position": "right", "width": "400px"}
    assert read_options(text) == [
        {
            "ns": "floatingButton-1",
            "forwardQueryParams": False,
            "prerender": False,
            "floatingButton": floating,
        },
        {"ns": "sidebar-1", "forwardQueryParams": False, "sidebar": sidebar},
        {"forwardQueryParams": False},
    ]
    assert text.count(f'<noscript><a href="{URL}"') == 2


def test_no_detail_of_the_visitor_is_in_a_page_that_is_loaded_before_a_click(site_page):
    """meetergo's script loads the page of a sidebar at once, and that of a button unless told not to."""
    text = site_page.render(
        '{% meetergo_floating_button url "Book" email="a@b.example" %}'
        '{% meetergo_sidebar url "Book" email="a@b.example" %}',
        url=URL,
    )
    button, sidebar = read_options(text)
    assert button["prerender"] is False
    assert sidebar["sidebar"]["link"] == URL
    assert sidebar["prefilledLink"] == f"{URL}?email=a%40b.example"


def test_a_detail_in_the_url_itself_is_not_loaded_before_a_click_either(site_page):
    """A site may build the address with a query of its own."""
    address = f"{URL}?email=a%40b.example&firstname=Ada"
    [sidebar] = read_options(site_page.render('{% meetergo_sidebar url "Book" %}', url=address))

    assert sidebar["sidebar"]["link"] == URL
    assert sidebar["prefilledLink"] == address


@pytest.mark.parametrize("tag", ["meetergo_floating_button", "meetergo_sidebar"])
def test_two_launchers_of_a_kind_do_not_replace_each_other(site_page, tag):
    text = site_page.render(f'{{% {tag} url "Book" %}}{{% {tag} url "Call" %}}', url=URL)

    assert len({options["ns"] for options in read_options(text)}) == 2


def test_the_script_of_meetergo_comes_after_ours_and_both_have_the_nonce(site_page):
    assert "nonce" not in site_page.render("{% meetergo_script %}")
    site_page.request.csp_nonce = "abc"
    scripts = re.findall(r"<script defer[^>]+>", site_page.render("{% meetergo_script %}"))
    assert scripts == [
        '<script defer src="/static/meetergo/embed.js" nonce="abc">',
        '<script defer src="https://cdn.meetergo.com/v4/integration.js" nonce="abc">',
    ]


def test_texts_cannot_close_the_script_element(site_page):
    text = site_page.render("{% meetergo_sidebar url words %}", url=URL, words="</script><script>alert(1)")
    assert "<script>alert" not in text
    assert read_options(text)[0]["sidebar"]["buttonText"] == "</script><script>alert(1)"


@pytest.mark.parametrize(
    "url",
    [
        "http://cal.meetergo.com/a",
        "https://evil.example/a",
        "https://cal.meetergo.com.evil.example/a",
        "https://cal.meetergo.com@evil.example/a",
        "https://evil.example\\@cal.meetergo.com/a",
        "https://cal.meetergo.com:8443/a",
        "//cal.meetergo.com/a",
        "javascript:alert(1)//cal.meetergo.com",
        "https://cal.meetergo.com/a\nb",
        " https://cal.meetergo.com/a",
        "https://[cal.meetergo.com/a",
    ],
)
def test_only_https_urls_of_allowed_hosts_are_embedded(site_page, settings, url):
    with pytest.raises(EmbedUrlNotAllowed):
        validate_embed_url(url)
    for tag in TAGS:
        assert site_page.render(tag, url=url) == ""
    settings.DEBUG = True
    with pytest.raises(TagUsageError, match="EMBED_HOSTS"):
        site_page.render(TAGS[0], url=url)


@pytest.mark.django_db
def test_a_site_can_allow_a_host_of_its_own(settings):
    settings.MEETERGO = {**settings.MEETERGO, "EMBED_HOSTS": ["book.clinic.example"]}
    assert validate_embed_url("https://book.clinic.example/anna")
    with pytest.raises(EmbedUrlNotAllowed):
        validate_embed_url(URL)
    settings.MEETERGO = {**settings.MEETERGO, "EMBED_HOSTS": ["https://book.clinic.example"]}
    assert "meetergo.W004" in {message.id for message in run_checks(tags=["meetergo"])}


@pytest.mark.parametrize("name", ["outcome", "manage", "reschedule", "cancel", "ics"])
def test_no_foreign_script_is_loaded_on_pages_with_a_secret_url(site_page, settings, name):
    """Also when the site's base template has the tags on every page."""
    settings.DEBUG = True
    site_page.request.resolver_match = SimpleNamespace(app_name="meetergo", url_name=name)
    for tag in [*TAGS, "{% meetergo_script %}"]:
        assert site_page.render(tag, url=URL) == ""
    site_page.request.resolver_match = SimpleNamespace(app_name="meetergo", url_name="book")
    assert site_page.render("{% meetergo_script %}") != ""


@pytest.mark.django_db
def test_pages_of_the_sandbox_are_allowed_while_it_is_used(settings):
    """It has no https; a site that uses meetergo refuses its address."""
    sandbox = {**settings.MEETERGO, "SANDBOX": True, "BASE_URL": "http://127.0.0.1:8787"}
    url = "http://127.0.0.1:8787/praxis-am-lindenhof/intro-call"
    settings.MEETERGO = sandbox
    assert validate_embed_url(url) == url
    assert parse_link(url).host == "127.0.0.1"
    for wrong in ("http://127.0.0.1:87871/a", "http://127.0.0.1:8787@evil.example/a"):
        assert parse_link(wrong) is None
    settings.MEETERGO = {**sandbox, "SANDBOX": False}
    assert parse_link(url) is None
    with pytest.raises(EmbedUrlNotAllowed):
        validate_embed_url(url)
