"""What gunicorn serves: the tests' site under the settings of ``tests.harness.site_settings``."""

from django.core.wsgi import get_wsgi_application

from tests.harness.kill_points import WEB, install_kill_points
from tests.harness.patches import apply_patches

application = get_wsgi_application()
apply_patches()
install_kill_points(WEB)
