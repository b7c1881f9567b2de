/* Prepares meetergo's official embed, whose own script comes from meetergo after this one. What it is to show
   stands in the page as data. An event from the frame is only a hint: anybody can send one, so nothing may be
   recorded because of it, and the appointment's secret goes no further than here. */

(() => {
  const meetergo = (window.meetergo ||= function () {
    (window.meetergo.q ||= []).push(arguments);
  });
  meetergo.version ||= "4";
  for (const given of document.querySelectorAll('script[id^="meetergo-init-"]')) {
    window.meetergo("init", JSON.parse(given.textContent));
  }
  window.meetergo("on", {
    action: "bookingSuccessful",
    callback({ data }) {
      const { appointmentId, bookingType, provisionalBookingId } = data ?? {};
      const detail = { appointmentId, bookingType, provisionalBookingId };
      document.dispatchEvent(new CustomEvent("meetergo:booked", { detail }));
    },
  });
})();
