/* Makes plain links and forms quicker. Words come from the page. */

const iso = (date) => date.toISOString().slice(0, 10);
const fill = (text, words) => text.replace(/{(\w+)}/g, (_, key) => words[key]);
const inside = ["click", "keydown", "input", "submit"];
const outside = ["popstate", "pageshow", "visibilitychange"];
const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 7, ArrowUp: -7 };
const format = { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" };
const name = (day) => new Date(day).toLocaleDateString(document.documentElement.lang || [], format);

class MeetergoBooking extends HTMLElement {
	connectedCallback() {
		for (const type of inside) this.addEventListener(type, this);
		for (const type of outside) addEventListener(type, this);
		this.upgrade();
		this.guessZone();
		this.follow();
		if (performance.getEntriesByType("navigation")[0]?.type === "navigate") this.tellBooked();
	}

	disconnectedCallback() {
		for (const type of outside) removeEventListener(type, this);
		this.asking?.abort();
		clearTimeout(this.next);
	}

	handleEvent(event) {
		this[`on_${event.type}`](event);
	}

	$(selector) {
		return this.querySelector(selector);
	}

	get words() {
		return this.$(".mg-calendar").dataset;
	}

	// Gone after ten seconds; what stays is shown too.
	say(text, stays, link) {
		const status = this.$(".mg-status");
		clearTimeout(this.silence);
		status.classList.toggle("mg-loud", !!stays);
		status.textContent = "";
		if (text) this.silence = setTimeout(() => {
			status.append(text);
			if (link) status.append(" ", Object.assign(document.createElement("a"), { href: link, textContent: this.words.retry }));
			if (!stays) this.silence = setTimeout(() => this.say(), 1e4);
		}, 50);
	}

	tell(name, detail) {
		this.dispatchEvent(new CustomEvent(`meetergo:${name}`, { bubbles: true, detail }));
	}

	// The answer as a document; nothing if something else was asked for.
	async ask(url, body, headers) {
		this.asking?.abort();
		const asking = (this.asking = new AbortController());
		const late = setTimeout(() => asking.abort(), 2e4);
		try {
			const answer = await fetch(url, { body, method: body ? "POST" : "GET", headers, signal: asking.signal });
			if (!answer.ok) throw answer.status;
			return new DOMParser().parseFromString(await answer.text(), "text/html");
		} catch (error) {
			if (asking === this.asking) throw error;
		} finally {
			clearTimeout(late);
		}
	}

	async load(url, part = "calendar") {
		await this.guess;
		const free = this.$(".mg-calendar"), { loading, slow, failed } = this.words;
		free.ariaBusy = true;
		const hints = [setTimeout(() => this.say(loading), 1e3), setTimeout(() => this.say(slow, true), 8e3)];
		try {
			const headers = { "X-Meetergo-Fragment": part, "X-Meetergo-Widget": this.dataset.widget ?? "" };
			const fresh = (await this.ask(url, null, headers))?.querySelector(`.mg-${part}`);
			if (!fresh) return;
			this.$(`.mg-${part}`).replaceWith(fresh);
			this.say();
			if (part !== "zone") this.upgrade();
			return true;
		} catch {
			this.say(failed, true, url);
		} finally {
			hints.forEach(clearTimeout);
			free.ariaBusy = null;
		}
	}

	async reload(url, body) {
		const nth = [...document.querySelectorAll(this.localName)].indexOf(this);
		const fresh = (await this.ask(url, body))?.querySelectorAll(this.localName)[nth];
		const before = this.$(".mg-zone").dataset.zone, after = fresh?.querySelector(".mg-zone").dataset;
		if (!after) return;
		fresh.querySelector(".mg-status").replaceWith(this.$(".mg-status"));
		this.replaceChildren(...fresh.childNodes);
		this.upgrade();
		if (after.zone !== before) return !this.say(after.says);
	}

	upgrade() {
		this.loadedAt = Date.now();
		const table = this.$(".mg-month");
		if (!table) return;
		table.role = "grid";
		let day = 0;
		for (const cell of table.querySelectorAll("td")) {
			cell.role = "gridcell";
			if (!cell.firstChild) continue;
			const link = cell.querySelector("a"), date = `${table.dataset.month}-${`${++day}`.padStart(2, 0)}`;
			(link ?? cell).dataset.date = date;
			if (link) cell.ariaSelected = link.matches(".mg-day-chosen");
			else cell.ariaDisabled = true, cell.ariaLabel = fill(this.words.none, { day: name(date) });
		}
		this.rove(this.$(".mg-day-chosen") ?? this.$("[data-date]"));
		this.showPicked();
	}

	rove(to) {
		for (const item of this.querySelectorAll("[data-date]")) item.tabIndex = item === to ? 0 : -1;
	}

	focusOn(mark) {
		const item = this.$(`[data-date="${mark}"], [class="mg-turn ${mark}"]`) ?? this.$(".mg-dates .mg-title");
		if (item?.dataset.date) this.rove(item);
		item?.focus();
	}

	on_click(event) {
		const link = event.target.closest("a");
		if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
		if (link.matches(".mg-to-dates")) this.focusOn(this.$(".mg-day-chosen").dataset.date);
		else if (link.matches(".mg-turn")) this.turn(link.href, link.classList[1], link.classList[1]);
		else if (link.matches("[data-date], .mg-slots a")) this.openDay(link);
		else if (link.matches(".mg-zone a")) this.load(link.href, "zone").then(() => this.$(".mg-zone select")?.focus());
		else return;
		event.preventDefault();
	}

	async openDay(link) {
		if (!(await this.open(link.href, link.dataset.date))) return;
		const title = this.$(".mg-slots .mg-title");
		title.focus();
		this.say(title.dataset.says);
	}

	// Back returns the focus; in a page of the site's own the address stays.
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
		this.say(this.$(".mg-dates").dataset.says);
		this.focusOn(to);
	}

	async on_popstate({ state }) {
		if (this.$(".mg-calendar") && (await this.load(location.href))) this.focusOn(state?.focused);
	}

	on_keydown(event) {
		const item = event.target.closest("[data-date]"), { key } = event;
		if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
		const date = new Date(item.dataset.date), turn = { PageUp: -1, PageDown: 1 }[key];
		if (key === "Enter" || key === " ") item.href ? this.openDay(item) : this.sayNone(item);
		else if (turn) this.moveMonths(date, event.shiftKey ? 12 * turn : turn);
		else if (key === "Home" || key === "End") {
			const days = [...item.closest("tr").querySelectorAll("[data-date]")];
			this.focusOn(days.at(key === "Home" ? 0 : -1).dataset.date);
		} else if (steps[key]) {
			const mirrored = steps[key] % 7 && this.matches(":dir(rtl)");
			date.setUTCDate(date.getUTCDate() + steps[key] * (mirrored ? -1 : 1));
			this.goTo(iso(date));
		} else return;
		event.preventDefault();
	}

	moveMonths(date, months) {
		const { first, last } = this.$(".mg-month").dataset, day = date.getUTCDate();
		date.setUTCMonth(date.getUTCMonth() + months, 1);
		const to = new Date([first, iso(date).slice(0, 7), last].sort()[1]);
		to.setUTCMonth(to.getUTCMonth() + 1, 0);
		to.setUTCDate(Math.min(day, to.getUTCDate()));
		this.goTo(iso(to));
	}

	goTo(day) {
		if (this.$(`[data-date="${day}"]`)) return this.focusOn(day);
		const { first, last } = this.$(".mg-month").dataset, month = day.slice(0, 7);
		if (month < first || month > last) return;
		const url = new URL(this.$(".mg-turn").href);
		url.searchParams.set("month", month);
		this.turn(url.href, document.activeElement.dataset.date, day);
	}

	sayNone({ dataset: { date } }) {
		const next = [...this.querySelectorAll("a[data-date]")].find((link) => link.dataset.date > date);
		const words = { day: name(date), next: next && name(next.dataset.date) };
		this.say(fill(this.words[next ? "next" : "none"], words));
	}

	get time() {
		return this.$(".mg-slots :checked + *")?.firstChild.data;
	}

	showPicked() {
		const picked = this.$(".mg-picked");
		if (picked) picked.textContent = this.time ? `${picked.dataset.day}, ${this.time}` : "";
	}

	// Old times once more; what was chosen stays, or is said to be gone.
	async refresh() {
		const { time } = this, chosen = this.$(".mg-slots :checked"), day = this.$(".mg-day-chosen");
		const focused = this.$(".mg-slots")?.contains(document.activeElement);
		if (!day || !(await this.load(day.href, "slots"))) return !day;
		if (!chosen) return true;
		const same = this.$(`.mg-slots [value="${chosen.value}"]`);
		if (focused) (same ?? this.$(".mg-slots .mg-title")).focus();
		if (same) same.checked = true;
		else this.say(fill(this.words.gone, { time }), true);
		this.showPicked();
		return !!same;
	}

	on_visibilitychange() {
		if (document.hidden) this.leftAt = Date.now();
		else if (Date.now() - this.leftAt > 3e5) this.refresh();
		this.follow();
	}

	// Kept if the times came by it.
	guessZone() {
		const form = this.$("[data-guess]"), mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
		if (!form || mine === form.dataset.zone) return;
		const keep = (age) => document.cookie = `meetergo_tz=${mine};path=/;samesite=lax;max-age=${age}`;
		keep(3e7);
		this.guess = this.reload(location.href).catch(() => {}).then((done) => done || keep(0));
	}

	async on_submit(event) {
		const form = event.target, { busy, slow } = form.dataset;
		if (form.matches(".mg-times-form")) {
			if (!this.time || Date.now() - this.loadedAt < 6e4) return;
			event.preventDefault();
			if (await this.refresh()) this.$(".mg-times-form").submit();
		} else if (form.matches(".mg-zone[method=post]")) {
			event.preventDefault();
			const body = new FormData(form);
			body.set("next", location.pathname + location.search);
			await this.reload(form.action, body).catch(() => form.submit());
			this.$(".mg-zone a").focus();
		} else if (form.method === "post") {
			if (form.ariaBusy) return event.preventDefault();
			const button = event.submitter ?? form.querySelector("button");
			form.ariaBusy = button.ariaDisabled = true;
			if (!busy) return;
			button.dataset.label = button.textContent;
			button.textContent = busy;
			setTimeout(() => this.say(slow, true), 4e3);
		}
	}

	// Back from the next page.
	on_pageshow({ persisted }) {
		if (persisted) for (const item of this.querySelectorAll("form, button")) {
			item.ariaBusy = item.ariaDisabled = null;
			if (item.dataset.label) item.textContent = item.dataset.label;
		}
	}

	on_input({ target }) {
		if (target.matches(".mg-slots [name=start]")) {
			this.showPicked();
			this.tell("slot-chosen", { start: target.value });
		}
		const { left } = target.dataset, count = target.maxLength - target.value?.length;
		if (!left) return;
		const text = fill(left, { count }), isNear = count <= 50;
		target.nextElementSibling.textContent = text;
		if (isNear && !target.told) this.say(text);
		target.told = isNear;
	}

	// Look again while the page waits, often at first; the focus stays.
	follow() {
		clearTimeout(this.next);
		const article = this.$("[data-poll]");
		if (!article || document.hidden) return;
		const [often, long, then] = article.dataset.poll.split(" ");
		const pause = performance.now() > long * 1e3 ? then : often;
		if (pause) this.next = setTimeout(() => this.lookAgain(article), pause * 1e3);
	}

	async lookAgain(article) {
		const form = article.querySelector("[data-look]");
		try {
			const found = await this.ask(location.href, form && new FormData(form));
			const fresh = found?.querySelector("[data-screen]");
			if (!fresh || fresh.dataset.screen === article.dataset.screen) return;
			const focused = article.contains(document.activeElement), title = fresh.querySelector("h1");
			title.autofocus = false;
			article.replaceWith(fresh);
			document.title = found.title;
			if (focused) title.focus();
			else this.say(title.textContent);
			this.tellBooked();
		} catch {} finally {
			this.follow();
		}
	}

	tellBooked() {
		const booking = this.$("[data-booked]")?.dataset.booked;
		if (booking) this.tell("booked", { booking });
	}
}

customElements.define("meetergo-booking", MeetergoBooking);
