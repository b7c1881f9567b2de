project = "django-meetergo"
author = "the django-meetergo maintainers"
html_theme = "furo"
exclude_patterns = ["_build"]
