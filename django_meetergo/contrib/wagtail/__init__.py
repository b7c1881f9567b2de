"""A block for Wagtail's StreamField; see ``blocks``. The only package that imports Wagtail."""
