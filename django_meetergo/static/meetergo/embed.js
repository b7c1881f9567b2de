/* Prepares meetergo's official embed; its own script is loaded after this one. The settings are in the page as
   JSON. Any frame can send the events of the embed, so nothing may be recorded because of one, and the secret
   of an appointment is not passed on. */

(() => {
  const meetergo = (window.meetergo ||= function () {
    (window.meetergo.q ||= []).push(arguments);
  });
  meetergo.version ||= "4";
  for (const given of document.querySelectorAll('script[id^="meetergo-init-"]')) {
    const { prefilledLink, ...options } = JSON.parse(given.textContent);
    window.meetergo("init", options);
    if (prefilledLink) {
      // The sidebar loads its page before anybody opens it: the visitor's details are added only then.
      const callback = () => prefill(options.sidebar.link, prefilledLink);
      window.meetergo("once", { action: "sidebarOpened", ns: options.ns, callback });
    }
  }

  function prefill(link, prefilledLink) {
    for (const frame of document.querySelectorAll("iframe")) {
      const isInline = frame.closest(".meetergo-iframe");
      if (!isInline && frame.src.split("?")[0] === link.split("?")[0]) {
        const url = new URL(prefilledLink);
        for (const [name, value] of new URL(frame.src).searchParams) {
          if (!url.searchParams.has(name)) url.searchParams.append(name, value);
        }
        frame.src = url.href;
      }
    }
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
