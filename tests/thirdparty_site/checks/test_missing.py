"""A project that lacks something is told what it is, in one line."""

import subprocess
import sys

import pytest

TEST = "def test_it(meetergo_sandbox): pass\n"
SETTINGS = "SECRET_KEY = 'x'\nINSTALLED_APPS = []\n"
CASES = {
    "no pytest-django": (["-p", "no:django"], "", "pytest-django: pip install 'django-meetergo[testing]'"),
    "no settings": ([], "", "set DJANGO_SETTINGS_MODULE"),
    "not installed": (["--ds=site_settings"], "", 'add "django_meetergo" to INSTALLED_APPS'),
}


@pytest.mark.parametrize(("options", "settings", "expected"), CASES.values(), ids=CASES)
def test_the_fixture_says_what_is_missing(tmp_path, options, settings, expected):
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert expected in done.stdout
    assert "Traceback" not in done.stdout
