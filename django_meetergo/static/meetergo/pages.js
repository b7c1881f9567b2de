/* Forms, and pages that wait for a result. All texts come from the page. */

const format = (text, values) => text.replace(/{(\w+)}/g, (_, key) => values[key]);
const ownEvents = ["input", "change", "submit"];
const windowEvents = ["pageshow", "visibilitychange"];

// Whether one letter differs, is missing or is too many, or two neighbours changed places.
const isNear = (a, b) => {
	let from = 0, to = 0;
	while (from < a.length && a[from] === b[from]) from++;
	while (to < Math.min(a.length, b.length) - from && a.at(-1 - to) === b.at(-1 - to)) to++;
	const [x, y] = [a, b].map((word) => word.slice(from, word.length - to));
	return a !== b && ((x.length < 2 && y.length < 2) || (x.length === 2 && y === x[1] + x[0]));
};

// Whether this tab has not announced the booking yet. A browser may refuse to store that.
const isNews = (booking) => {
	try {
		const name = `meetergo:${booking}`, known = sessionStorage.getItem(name);
		sessionStorage.setItem(name, "booked");
		return !known;
	} catch {
		return true;
	}
};

class MeetergoPage extends HTMLElement {
	connectedCallback() {
		for (const type of ownEvents) this.addEventListener(type, this);
		for (const type of windowEvents) addEventListener(type, this);
		this.schedulePoll();
		this.dispatchBooked();
	}

	disconnectedCallback() {
		for (const type of windowEvents) removeEventListener(type, this);
		clearTimeout(this.pollTimer);
	}

	handleEvent(event) {
		this[`on_${event.type}`](event);
	}

	$(selector) {
		return this.querySelector(selector);
	}

	// Announce a text; a persistent one stays and is visible.
	announce(text, persistent) {
		const status = this.$(".mg-status");
		status.classList.toggle("mg-loud", !!persistent);
		status.textContent = "";
		setTimeout(() => status.textContent = text, 50);
	}

	// Show that a form is being sent, and send it once.
	on_submit(event) {
		const form = event.target, { busy, slow } = form.dataset;
		if (form.method !== "post") return;
		if (form.ariaBusy) return event.preventDefault();
		const button = event.submitter ?? form.querySelector("button");
		form.ariaBusy = button.ariaDisabled = true;
		if (!busy) return;
		button.dataset.label = button.textContent;
		button.textContent = busy;
		this.slowTimer = setTimeout(() => this.announce(slow, true), 4e3);
	}

	// The browser restores the page as it was left, with busy buttons.
	on_pageshow({ persisted }) {
		if (!persisted) return;
		clearTimeout(this.slowTimer);
		if (this.$(".mg-loud")) this.announce("");
		for (const item of this.querySelectorAll("form, button")) {
			item.ariaBusy = item.ariaDisabled = null;
			if (item.dataset.label) item.textContent = item.dataset.label;
		}
	}

	on_input({ target }) {
		const { counter } = target.dataset, count = target.maxLength - target.value?.length;
		if (!counter) return;
		const text = format(counter, { count }), isClose = count <= 50;
		target.nextElementSibling.textContent = text;
		if (isClose && !target.announced) this.announce(text);
		target.announced = isClose;
	}

	// Offer the address with the domain that was probably meant.
	on_change({ target }) {
		const { domains, hint } = target.form?.dataset ?? {};
		if (!hint || target.type !== "email") return;
		const [name, domain = ""] = target.value.trim().split("@"), known = domains.split(" ");
		const meant = !known.includes(domain.toLowerCase()) && known.find((one) => isNear(domain.toLowerCase(), one));
		this.$(".mg-meant")?.remove();
		if (!meant) return;
		const address = `${name}@${meant}`, button = document.createElement("button");
		Object.assign(button, { type: "button", className: "mg-link mg-meant", textContent: format(hint, { address }) });
		button.onclick = () => (target.value = address, button.remove(), target.focus());
		target.after(button);
		this.announce(button.textContent);
	}

	on_visibilitychange() {
		this.schedulePoll();
	}

	// Check a waiting booking again, at shorter intervals first.
	schedulePoll() {
		clearTimeout(this.pollTimer);
		const article = this.$("[data-poll]");
		if (!article || document.hidden) return;
		const [first, duration, later] = article.dataset.poll.split(" ");
		const delay = performance.now() > duration * 1e3 ? later : first;
		if (delay) this.pollTimer = setTimeout(() => this.poll(article), delay * 1e3);
	}

	// The browser parses the response, because Trusted Types forbid to parse a string.
	poll(article) {
		const form = article.querySelector("[data-check]"), request = new XMLHttpRequest();
		request.onloadend = () => {
			const page = request.response, fresh = request.status === 200 && page?.querySelector("[data-screen]");
			if (fresh && fresh.textContent !== article.textContent) this.replaceArticle(article, fresh, page.title);
			if (this.isConnected) this.schedulePoll();
		};
		request.open(form ? "POST" : "GET", location.href);
		request.responseType = "document";
		request.timeout = 2e4;
		request.send(form && new FormData(form));
	}

	// The join link of a call may come later than the result: only a new result is announced.
	replaceArticle(article, fresh, documentTitle) {
		const focused = article.matches(":focus-within"), title = fresh.querySelector("h1");
		const refusal = fresh.querySelector(".mg-refusal")?.textContent ?? "";
		const isNew = fresh.dataset.screen !== article.dataset.screen;
		title.autofocus = false;
		article.replaceWith(fresh);
		document.title = documentTitle;
		if (focused) title.focus();
		if (isNew && (refusal || !focused)) this.announce(`${refusal} ${title.textContent}`.trim());
		if (isNew) this.dispatchBooked();
	}

	// Once per booking and tab, however often the page is shown.
	dispatchBooked() {
		const booking = this.$("[data-booked]")?.dataset.booked;
		if (booking && isNews(booking)) this.dispatchEvent(new CustomEvent("meetergo:booked", { bubbles: true, composed: true, detail: { booking } }));
	}
}

customElements.get("meetergo-page") ?? customElements.define("meetergo-page", MeetergoPage);
