"""The same in Django's own test cases, which need no pytest."""

from django.test import TestCase, TransactionTestCase

from checks.visitors import book
from django_meetergo.testing.sandboxes import SandboxMixin


class BookingTests(SandboxMixin, TestCase):
    def test_it_books(self):
        assert book(self.sandbox).state == "confirmed"

    def test_it_survives_a_lost_answer(self):
        self.sandbox.fail_next(kind="drop_after")
        booking = book(self.sandbox)
        assert booking.state == "unknown"
        self.sandbox.run_until_idle()
        booking.refresh_from_db()
        assert booking.state == "confirmed"

    def test_it_receives_webhooks(self):
        self.sandbox.register_webhook()
        self.sandbox.book_elsewhere(self.sandbox.list_free_starts()[0])
        assert self.sandbox.deliver(duplicate=2) == 2


class TransactionTests(SandboxMixin, TransactionTestCase):
    def test_it_loses_a_race(self):
        start = self.sandbox.list_free_starts()[0]
        self.sandbox.occupy_slot(start)
        assert book(self.sandbox, start=start).reason == "slot_taken"
