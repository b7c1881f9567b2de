"""A Wagtail site with the block: ``tox run -e wagtail``."""
