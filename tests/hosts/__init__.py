"""Sites of many kinds that install the app, each with one journey of a visitor and of staff."""
