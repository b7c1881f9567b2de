/* Replace parts of a page instead of loading it anew. All texts come from the page. */

const toIso = (date) => date.toISOString().slice(0, 10);
const format = (text, values) => text.replace(/{(\w+)}/g, (_, key) => values[key]);
const ownEvents = ["click", "keydown", "input", "submit"];
const windowEvents = ["popstate", "visibilitychange"];
const dayOffsets = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 7, ArrowUp: -7 };
const dateFormat = { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" };
const formatDay = (day) => new Date(day).toLocaleDateString(document.documentElement.lang || [], dateFormat);

class MeetergoBooking extends HTMLElement {
	connectedCallback() {
		for (const type of ownEvents) this.addEventListener(type, this);
		for (const type of windowEvents) addEventListener(type, this);
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

	get texts() {
		return this.$(".mg-calendar").dataset;
	}

	// Announce a text for ten seconds; a persistent one stays and is visible.
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

	emit(name, detail) {
		this.dispatchEvent(new CustomEvent(`meetergo:${name}`, { bubbles: true, detail }));
	}

	// The response as a document; undefined if a newer request has replaced this one.
	async fetchPage(url, body, headers) {
		this.request?.abort();
		const request = (this.request = new AbortController());
		const timeout = setTimeout(() => request.abort(), 2e4);
		try {
			const response = await fetch(url, { body, method: body ? "POST" : "GET", headers, signal: request.signal });
			if (!response.ok) throw response.status;
			return new DOMParser().parseFromString(await response.text(), "text/html");
		} catch (error) {
			if (request === this.request) throw error;
		} finally {
			clearTimeout(timeout);
		}
	}

	async load(url, part = "calendar") {
		await this.detection;
		const calendar = this.$(".mg-calendar"), { loading, slow, failed } = this.texts;
		calendar.ariaBusy = true;
		const hints = [setTimeout(() => this.announce(loading), 1e3), setTimeout(() => this.announce(slow, true), 8e3)];
		try {
			const headers = { "X-Meetergo-Fragment": part, "X-Meetergo-Widget": this.dataset.widget ?? "" };
			const fresh = (await this.fetchPage(url, null, headers))?.querySelector(`.mg-${part}`);
			if (!fresh) return;
			this.$(`.mg-${part}`).replaceWith(fresh);
			this.announce();
			this.upgrade();
			return true;
		} catch {
			this.announce(failed, true, url);
		} finally {
			hints.forEach(clearTimeout);
			calendar.ariaBusy = null;
		}
	}

	async reload(url, body) {
		const index = [...document.querySelectorAll(this.localName)].indexOf(this);
		const fresh = (await this.fetchPage(url, body))?.querySelectorAll(this.localName)[index];
		const before = this.$(".mg-zone").dataset.zone, after = fresh?.querySelector(".mg-zone").dataset;
		if (!after) return;
		const chosen = this.$(".mg-slots :checked")?.value;
		fresh.querySelector(".mg-status").replaceWith(this.$(".mg-status"));
		this.replaceChildren(...fresh.childNodes);
		// The same instant is written with another offset.
		for (const slot of this.querySelectorAll(".mg-slots [name=start]")) if (Date.parse(slot.value) === Date.parse(chosen)) slot.checked = true;
		this.upgrade();
		if (after.zone !== before) return !this.announce(after.announcement);
	}

	upgrade() {
		this.loadedAt = Date.now();
		for (const search of this.querySelectorAll(".mg-search")) search.hidden = false;
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
			else cell.ariaDisabled = true, cell.ariaLabel = format(this.texts.none, { day: formatDay(date) });
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
		else if (link.matches(".mg-zone a")) this.load(link.href, "zone").then(() => this.$(".mg-search")?.focus());
		else return;
		event.preventDefault();
	}

	async openDay(link) {
		if (!(await this.open(link.href, link.dataset.date))) return;
		const title = this.$(".mg-slots .mg-title");
		title.focus();
		// On a phone the times are below the calendar.
		if (this.$(".mg-slots").getBoundingClientRect().bottom > innerHeight) title.scrollIntoView();
		this.announce(title.dataset.announcement);
	}

	// The history entry keeps the focused element. A widget in another page leaves the history alone.
	async open(href, focused) {
		if (!(await this.load(href))) return false;
		if (new URL(href).pathname === location.pathname) {
			history.replaceState({ focused }, "");
			history.pushState({}, "", href.split("#")[0]);
		}
		return true;
	}

	async turn(href, from, to) {
		if (!(await this.open(href, from))) return;
		this.announce(this.$(".mg-dates").dataset.announcement);
		this.focusOn(to);
	}

	async on_popstate({ state }) {
		if (this.$(".mg-calendar") && (await this.load(location.href))) this.focusOn(state?.focused);
	}

	on_keydown(event) {
		const item = event.target.closest("[data-date]"), { key } = event;
		if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
		const date = new Date(item.dataset.date), turn = { PageUp: -1, PageDown: 1 }[key];
		if (key === "Enter" || key === " ") item.href ? this.openDay(item) : this.announceNoTimes(item);
		else if (turn) this.moveMonths(date, event.shiftKey ? 12 * turn : turn);
		else if (key === "Home" || key === "End") {
			const days = [...item.closest("tr").querySelectorAll("[data-date]")];
			this.focusOn(days.at(key === "Home" ? 0 : -1).dataset.date);
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
		const { first, last } = this.$(".mg-month").dataset, month = day.slice(0, 7);
		if (month < first || month > last) return;
		const url = new URL(this.$(".mg-turn").href);
		url.searchParams.set("month", month);
		this.turn(url.href, document.activeElement.dataset.date, day);
	}

	announceNoTimes({ dataset: { date } }) {
		const next = [...this.querySelectorAll("a[data-date]")].find((link) => link.dataset.date > date);
		const values = { day: formatDay(date), next: next && formatDay(next.dataset.date) };
		this.announce(format(this.texts[next ? "next" : "none"], values));
	}

	get chosenTime() {
		return this.$(".mg-slots :checked + *")?.firstChild.data;
	}

	showChoice() {
		const picked = this.$(".mg-picked");
		if (picked) picked.textContent = this.chosenTime ? `${picked.dataset.day}, ${this.chosenTime}` : "";
	}

	// Load the times again and keep the choice; announce if it is no longer free. False then or on failure.
	async refresh() {
		const time = this.chosenTime, chosen = this.$(".mg-slots :checked"), day = this.$(".mg-day-chosen");
		const focused = this.$(".mg-slots")?.contains(document.activeElement);
		if (!day || !(await this.load(day.href, "slots"))) return !day;
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

	// Use the browser's zone; the cookie stays only if times in that zone arrive.
	detectZone() {
		const form = this.$("[data-detect]"), mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
		if (!form || mine === form.dataset.zone) return;
		const setCookie = (age) => document.cookie = `meetergo_tz=${mine};path=/;samesite=lax;max-age=${age}`;
		setCookie(3e7);
		this.detection = this.reload(location.href).catch(() => {}).then((done) => done || setCookie(0));
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
			body.set("next", location.pathname + location.search);
			await this.reload(form.action, body).catch(() => form.submit());
			this.$(".mg-zone a").focus();
		}
	}

	// A widget in another page leaves the address alone.
	async setDuration(duration) {
		const url = new URL(this.$(".mg-duration").action), day = this.$(".mg-day-chosen")?.dataset.date;
		url.searchParams.set("duration", duration);
		if (day) url.searchParams.set("date", day);
		if (!(await this.load(url.href))) return;
		this.$(".mg-next-slots")?.remove(); // they are for the other duration
		if (url.pathname === location.pathname) history.replaceState(history.state, "", url);
		this.announce(this.$(".mg-dates").dataset.announcement);
	}

	// Show only the zones whose names contain the text; the first of them is chosen.
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
			this.emit("slot-chosen", { start: target.value });
		}
	}
}

customElements.define("meetergo-booking", MeetergoBooking);
