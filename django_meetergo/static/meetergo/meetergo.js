/* All texts come from the page. */

const toIso = (date) => date.toISOString().slice(0, 10);
const format = (text, values) => text.replace(/{(\w+)}/g, (_, key) => values[key]);
const windowEvents = ["popstate", "visibilitychange"];
const dayOffsets = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 7, ArrowUp: -7 };

class MeetergoBooking extends HTMLElement {
	connectedCallback() {
		for (const type of ["click", "keydown", "input", "submit"]) this.addEventListener(type, this);
		for (const type of windowEvents) addEventListener(type, this);
		[this.shown] = location.href.split("#");
		this.upgrade();
		this.detectZone();
	}

	disconnectedCallback() {
		for (const type of windowEvents) removeEventListener(type, this);
		this.request?.abort();
	}

	handleEvent(event) {
		this[`on_${event.type}`](event);
	}

	$(selector) {
		return this.querySelector(selector);
	}

	formatDay(day) {
		return new Date(day).toLocaleDateString(`${this.closest("[lang]").lang}-u-ca-gregory-nu-latn`, { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" });
	}

	get texts() {
		return this.$(".mg-calendar").dataset;
	}

	// A persistent text stays and is visible.
	announce(text, persistent, link) {
		const status = this.$(".mg-status");
		clearTimeout(this.statusTimer);
		status.classList.toggle("mg-loud", !!persistent);
		status.textContent = "";
		if (text) this.statusTimer = setTimeout(() => {
			status.append(text);
			if (link) status.append(" ", Object.assign(document.createElement("a"), { href: link, textContent: this.texts.retry }));
			if (!persistent) this.statusTimer = setTimeout(() => this.announce(), 1e4);
		}, 50);
	}

	get address() {
		const url = new URL(this.texts.address, document.baseURI);
		url.searchParams.delete("zones");
		return url;
	}

	get hasHistory() {
		return this.address.pathname === location.pathname;
	}

	// The first part must be in the response. The browser parses it, for Trusted Types.
	async swap(url, parts, body) {
		const last = this.request, request = (this.request = new XMLHttpRequest());
		last?.abort();
		const page = await new Promise((resolve, reject) => {
			request.onloadend = () => request === this.request && request.status !== 200 ? reject() : resolve(request.response);
			request.open(body ? "POST" : "GET", url);
			request.responseType = "document";
			request.timeout = 2e4;
			request.setRequestHeader("X-Meetergo-Fragment", parts[1] ? "all" : parts[0]);
			request.setRequestHeader("X-Meetergo-Widget", this.dataset.widget ?? "");
			request.send(body);
		});
		if (!page) return; // superseded
		this.replaced = Date.parse(this.$(".mg-slots :checked")?.value);
		for (const part of parts) {
			const now = this.$(`.mg-${part}`), next = page.querySelector(`.mg-${part}`);
			if (next) now?.replaceWith(next);
			else if (part === parts[0]) throw part;
			else now?.remove();
		}
		this.upgrade();
		return true;
	}

	async load(url, parts = ["calendar"]) {
		await this.detection;
		const calendar = this.$(".mg-calendar"), { loading, slow, failed } = this.texts;
		calendar.ariaBusy = true;
		const hints = [setTimeout(() => this.announce(loading), 1e3), setTimeout(() => this.announce(slow, true), 8e3)];
		try {
			if (!(await this.swap(url, parts))) return;
			this.announce();
			return true;
		} catch {
			this.announce(failed, true, url);
		} finally {
			hints.forEach(clearTimeout);
			calendar.ariaBusy = null;
		}
	}

	// True if the zone is another one then.
	async changeZone(url, body) {
		const before = this.$(".mg-zone").dataset.zone;
		if (!(await this.swap(url, ["zone", "duration", "calendar", "next-slots"], body))) return;
		for (const slot of this.querySelectorAll(".mg-slots [name=start]")) slot.checked ||= Date.parse(slot.value) === this.replaced;
		this.showChoice();
		const { zone, announcement } = this.$(".mg-zone").dataset;
		if (zone !== before) return !this.announce(announcement);
	}

	upgrade() {
		this.loadedAt = Date.now();
		this.$(".mg-search")?.removeAttribute("hidden");
		const times = this.$(".mg-times-form");
		if (times) for (const length of this.querySelectorAll("[name=duration]")) length.setAttribute("form", times.id);
		const table = this.$(".mg-month");
		if (!table) return;
		table.role = "grid";
		const start = Date.parse(table.dataset.start);
		let day = 0;
		for (const cell of table.querySelectorAll("td")) {
			cell.role = "gridcell";
			if (!cell.firstChild) continue;
			const link = cell.querySelector("a"), date = toIso(new Date(start + day++ * 864e5));
			(link ?? cell).dataset.date = date;
			if (link) cell.ariaSelected = link.matches(".mg-day-chosen");
			else cell.ariaDisabled = true, cell.ariaLabel = format(this.texts.none, { day: this.formatDay(date) });
		}
		this.setTabStop(this.$(".mg-day-chosen") ?? this.$("[data-date]"));
		this.showChoice();
	}

	setTabStop(to) {
		for (const item of this.querySelectorAll("[data-date]")) item.tabIndex = item === to ? 0 : -1;
	}

	focusOn(target) {
		const item = this.$(`[data-date="${target}"], [class="mg-turn ${target}"]`) ?? this.$(/^\d/.test(target) ? "[data-date]" : ".mg-dates .mg-title");
		if (item?.dataset.date) this.setTabStop(item);
		item?.focus();
	}

	on_click(event) {
		const link = event.target.closest("a");
		if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
		if (link.matches(".mg-to-dates")) this.focusOn(this.$(".mg-day-chosen").dataset.date);
		else if (link.matches(".mg-turn")) this.turn(link.href, link.classList[1], link.classList[1]);
		else if (link.matches("[data-date], .mg-slots a")) this.openDay(link);
		else if (link.matches(".mg-zone a")) this.load(link.href, ["zone"]).then(() => this.$(".mg-search")?.focus());
		else return;
		event.preventDefault();
	}

	async openDay(link) {
		if (!(await this.open(link.href, link.dataset.date))) return;
		const title = this.$(".mg-slots .mg-title");
		title.focus();
		// On a phone, the times are below.
		if (this.$(".mg-slots").getBoundingClientRect().bottom > innerHeight) title.scrollIntoView();
		this.announce(title.dataset.announcement);
	}

	// History keeps the focused element. False without a calendar.
	async open(href, focused) {
		if (!(await this.load(href))) return false;
		if (this.hasHistory) {
			history.replaceState({ ...history.state, meetergo: { focused } }, "");
			history.pushState({ ...history.state, meetergo: {} }, "", this.shown = href.split("#")[0]);
		}
		const empty = this.$(".mg-empty .mg-title");
		empty?.focus();
		return !empty;
	}

	async turn(href, from, to) {
		if (!(await this.open(href, from))) return;
		this.announce(this.$(".mg-dates").dataset.announcement);
		this.focusOn(to);
	}

	// Anchors and routes have their own entries.
	async on_popstate({ state }) {
		const [href] = location.href.split("#");
		if (!state?.meetergo || href === this.shown || !this.$(".mg-calendar") || !this.hasHistory) return;
		this.shown = href;
		if (await this.load(href, ["calendar", "duration", "next-slots"])) this.focusOn(state.meetergo.focused);
	}

	on_keydown(event) {
		const item = event.target.closest("[data-date]"), { key } = event;
		if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
		const date = new Date(item.dataset.date), turn = { PageUp: -1, PageDown: 1 }[key];
		if (key === "Enter" || key === " ") item.href ? this.openDay(item) : this.announceNoTimes(item);
		else if (turn) this.moveMonths(date, event.shiftKey ? 12 * turn : turn);
		else if (key === "Home" || key === "End") {
			this.focusOn([...item.closest("tr").querySelectorAll("[data-date]")].at(key === "End" ? -1 : 0).dataset.date);
		} else if (dayOffsets[key]) {
			const mirrored = dayOffsets[key] % 7 && this.matches(":dir(rtl)");
			date.setUTCDate(date.getUTCDate() + dayOffsets[key] * (mirrored ? -1 : 1));
			this.goTo(toIso(date));
		} else return;
		event.preventDefault();
	}

	moveMonths(date, months) {
		const { first, last } = this.$(".mg-month").dataset, day = date.getUTCDate();
		date.setUTCMonth(date.getUTCMonth() + months, 1);
		const to = new Date([first, toIso(date).slice(0, 7), last].sort()[1]);
		to.setUTCMonth(to.getUTCMonth() + 1, 0);
		to.setUTCDate(Math.min(day, to.getUTCDate()));
		this.goTo(toIso(to));
	}

	goTo(day) {
		if (this.$(`[data-date="${day}"]`)) return this.focusOn(day);
		const { first, last, start } = this.$(".mg-month").dataset, month = day.slice(0, 7);
		if (month < first || month > last || start.startsWith(month)) return;
		const url = new URL(this.$(".mg-turn").href);
		url.searchParams.set("month", month);
		this.turn(url.href, this.$("[data-date]:focus")?.dataset.date, day);
	}

	announceNoTimes({ dataset: { date } }) {
		const next = [...this.querySelectorAll("a[data-date]")].find((link) => link.dataset.date > date);
		const values = { day: this.formatDay(date), next: next && this.formatDay(next.dataset.date) };
		this.announce(format(this.texts[next ? "next" : "none"], values));
	}

	get chosenTime() {
		return this.$(".mg-slots :checked + *")?.firstChild.data;
	}

	showChoice() {
		const picked = this.$(".mg-picked");
		if (picked) picked.textContent = this.chosenTime ? `${picked.dataset.day}, ${this.chosenTime}` : "";
	}

	// False if it is no longer free, and on failure.
	async refresh() {
		const time = this.chosenTime, chosen = this.$(".mg-slots :checked"), day = this.$(".mg-day-chosen");
		const focused = this.$(".mg-slots:focus-within");
		if (!day || !(await this.load(day.href, ["slots"]))) return !day;
		if (!chosen) return true;
		const same = this.$(`.mg-slots [value="${chosen.value}"]`);
		if (focused) (same ?? this.$(".mg-slots .mg-title")).focus();
		if (same) same.checked = true;
		else this.announce(format(this.texts.gone, { time }), true);
		this.showChoice();
		return !!same;
	}

	on_visibilitychange() {
		if (document.hidden) this.leftAt = Date.now();
		else if (Date.now() - this.leftAt > 3e5) this.refresh();
	}

	// The cookie stays only if times in the browser's zone arrive.
	detectZone() {
		const form = this.$("[data-detect]"), mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
		if (!form || mine === form.dataset.zone) return;
		const setCookie = (age) => document.cookie = `meetergo_tz=${mine};path=/;samesite=lax;max-age=${age}`;
		setCookie(3e7);
		this.detection = this.changeZone(this.address).catch(() => {}).then(() => this.$("[data-detect]") && setCookie(0));
	}

	async on_submit(event) {
		const form = event.target;
		if (form.matches(".mg-times-form")) {
			if (!this.chosenTime || Date.now() - this.loadedAt < 6e4) return;
			event.preventDefault();
			if (await this.refresh()) this.$(".mg-times-form").submit();
		} else if (form.matches(".mg-zone[method=post]")) {
			event.preventDefault();
			const body = new FormData(form);
			body.set("next", this.address.pathname + this.address.search);
			await this.changeZone(form.action, body).catch(() => form.submit());
			this.$(".mg-zone a")?.focus();
		}
	}

	async setDuration(duration) {
		const url = this.address;
		url.searchParams.set("duration", duration);
		if (!(await this.load(url.href, ["calendar", "next-slots"]))) return;
		if (this.hasHistory) history.replaceState(history.state, "", this.shown = url.href);
		this.announce(this.$(".mg-dates")?.dataset.announcement);
	}

	searchZones(text) {
		const select = this.$(".mg-zone select");
		select.zones ??= [...select.options];
		const found = select.zones.filter((zone) => (zone.text + zone.value).toLowerCase().includes(text.toLowerCase()));
		if (found.length) select.replaceChildren(...found);
	}

	on_input({ target }) {
		if (target.matches(".mg-search")) this.searchZones(target.value);
		if (target.matches(".mg-duration [name=duration]")) this.setDuration(target.value);
		if (target.matches(".mg-slots [name=start]")) {
			this.showChoice();
			this.dispatchEvent(new CustomEvent("meetergo:slot-chosen", { bubbles: true, composed: true, detail: { start: target.value } }));
		}
	}
}

customElements.get("meetergo-booking") ?? customElements.define("meetergo-booking", MeetergoBooking);
