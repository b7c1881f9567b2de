"""What views, template tags and the REST API present alike: forms, the month, free times, time zones."""
