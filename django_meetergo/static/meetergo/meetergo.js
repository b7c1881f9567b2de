/* Makes plain links and forms quicker; what fails here is a plain link again. All words come from the page. */

const make = (tag, has) => Object.assign(document.createElement(tag), has);
const iso = (date) => date.toISOString().slice(0, 10);
const fill = (text, words) => text.replace(/\{(\w+)\}/g, (all, name) => words[name] ?? all);
const outside = ["popstate", "pageshow", "visibilitychange"];
const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 7, ArrowUp: -7 };

class MeetergoBooking extends HTMLElement {
	connectedCallback() {
		for (const name of ["click", "keydown", "change", "input", "submit"]) this.addEventListener(name, this);
		for (const name of outside) addEventListener(name, this);
		this.upgrade();
		this.guessZone();
		this.follow();
		if (performance.getEntriesByType("navigation")[0]?.type === "navigate") this.tellBooked();
	}

	disconnectedCallback() {
		for (const name of outside) removeEventListener(name, this);
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
		return this.$(".mg-free").dataset;
	}

	/** Polite, and gone after ten seconds; what stays until the next word is shown as well. */
	say(text, stays = false, link) {
		const status = this.$(".mg-status");
		clearTimeout(this.silence);
		if (!status) return;
		status.classList.toggle("mg-loud", stays);
		status.textContent = "";
		if (text) this.silence = setTimeout(() => {
			status.textContent = text;
			if (link) status.append(" ", make("a", { href: link, className: "mg-link", textContent: this.words.retry }));
			if (!stays) this.silence = setTimeout(() => this.say(), 1e4);
		}, 50);
	}

	tell(name, detail) {
		this.dispatchEvent(new CustomEvent(`meetergo:${name}`, { bubbles: true, detail }));
	}

	/** The answer as a document; nothing when somebody asked for something else meanwhile. */
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
		const free = this.$(".mg-free"), name = part === "slots" ? ".mg-slots" : ".mg-free";
		const { loading, slow, failed } = this.words;
		free.ariaBusy = "true";
		const hints = [setTimeout(() => this.say(loading), 1e3), setTimeout(() => this.say(slow, true), 8e3)];
		try {
			const headers = { "X-Meetergo-Fragment": part, "X-Meetergo-Widget": this.dataset.widget ?? "" };
			const fresh = (await this.ask(url, null, headers))?.querySelector(name);
			if (!fresh) return false;
			this.$(name).replaceWith(fresh);
			this.say();
			this.upgrade();
		} catch {
			this.say(failed, true, url);
			return false;
		} finally {
			hints.forEach(clearTimeout);
			free.ariaBusy = null;
		}
		return true;
	}

	async reload(url, body) {
		const nth = [...document.querySelectorAll(this.localName)].indexOf(this);
		const fresh = (await this.ask(url, body))?.querySelectorAll(this.localName)[nth];
		const before = this.$(".mg-zone").dataset.zone, after = fresh?.querySelector(".mg-zone").dataset;
		if (!after) return;
		fresh.querySelector(".mg-status").replaceWith(this.$(".mg-status"));
		this.replaceChildren(...fresh.childNodes);
		this.upgrade();
		if (after.zone !== before) this.say(after.says);
	}

	upgrade() {
		this.loadedAt = Date.now();
		const table = this.$(".mg-month");
		if (!table) return;
		table.role = "grid";
		for (const cell of table.querySelectorAll("td")) {
			cell.role = "gridcell";
			const link = cell.firstElementChild;
			if (link?.href) cell.ariaSelected = `${link.matches(".mg-day-chosen")}`;
			else if (link) cell.ariaDisabled = "true";
		}
		this.rove(this.$(".mg-day-chosen") ?? this.$("a[data-date]") ?? this.$("[data-date]"));
		this.showPicked();
	}

	rove(to) {
		for (const item of this.querySelectorAll("[data-date]")) item.tabIndex = item === to ? 0 : -1;
	}

	focusOn(mark) {
		const item = this.$(`[data-date="${mark}"], [class="mg-turn ${mark}"]`) ?? this.$(".mg-calendar .mg-title");
		if (item?.dataset.date) this.rove(item);
		item?.focus();
	}

	on_click(event) {
		const link = event.target.closest("a");
		if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
		if (link.matches(".mg-back-to-grid")) this.focusOn(this.$(".mg-day-chosen").dataset.date);
		else if (link.matches(".mg-turn")) this.open(link);
		else if (link.matches("a[data-date], .mg-slots a")) this.openDay(link);
		else return;
		event.preventDefault();
	}

	async openDay(link) {
		if (!(await this.open(link, false))) return;
		const title = this.$(".mg-slots .mg-title");
		title.focus();
		this.say(title.dataset.says);
	}

	/** Back returns, to the focus as well; in a page of the site's own the address stays. */
	async open(link, isMonth = true) {
		link.focus?.();
		const { dataset, classList } = document.activeElement, mark = dataset.date ?? classList[1], { href } = link;
		if (!(await this.load(href))) return false;
		if (new URL(href).pathname === location.pathname) {
			history.replaceState({ meetergo: mark }, "");
			history.pushState({}, "", href.split("#")[0]);
		}
		if (isMonth) this.say(this.$(".mg-calendar").dataset.says);
		if (isMonth && link.focus) this.focusOn(mark);
		return true;
	}

	async on_popstate({ state }) {
		if (this.$(".mg-free") && (await this.load(location.href))) this.focusOn(state?.meetergo);
	}

	on_keydown(event) {
		const item = event.target.closest("[data-date]"), { key } = event;
		if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
		const date = new Date(item.dataset.date), turn = { PageUp: -1, PageDown: 1 }[key];
		if (key === "Enter" || key === " ") {
			if (item.href) this.openDay(item);
			else this.sayNone(item);
		} else if (turn) this.moveMonths(date, event.shiftKey ? 12 * turn : turn);
		else if (key === "Home" || key === "End") {
			const days = [...item.closest("tr").querySelectorAll("[data-date]")];
			this.focusOn(days.at(key === "Home" ? 0 : -1).dataset.date);
		} else if (steps[key]) {
			const mirrored = steps[key] % 7 && getComputedStyle(this).direction === "rtl";
			date.setUTCDate(date.getUTCDate() + steps[key] * (mirrored ? -1 : 1));
			this.goTo(iso(date));
		} else return;
		event.preventDefault();
	}

	moveMonths(date, months) {
		const { first, last } = this.$(".mg-month").dataset, day = date.getUTCDate();
		date.setUTCMonth(date.getUTCMonth() + months, 1);
		const [year, month] = [first, iso(date).slice(0, 7), last].sort()[1].split("-");
		const end = new Date(Date.UTC(year, month, 0)).getUTCDate();
		this.goTo(iso(new Date(Date.UTC(year, month - 1, Math.min(day, end)))));
	}

	async goTo(day) {
		if (!this.$(`[data-date="${day}"]`)) {
			const { first, last } = this.$(".mg-month").dataset, month = day.slice(0, 7), way = this.$("a.mg-turn");
			if (!way || month < first || month > last) return;
			const url = new URL(way.href);
			url.searchParams.set("month", month);
			if (!(await this.open({ href: url.href }))) return;
		}
		this.focusOn(day);
	}

	sayNone({ dataset: { date } }) {
		const style = { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" };
		const name = (day) => new Date(day).toLocaleDateString(document.documentElement.lang || [], style);
		const next = [...this.querySelectorAll("a[data-date]")].find((link) => link.dataset.date > date);
		const words = { day: name(date), next: next && name(next.dataset.date) };
		this.say(fill(this.words[next ? "next" : "none"], words));
	}

	on_change({ target }) {
		if (target.name !== "start" || !target.closest(".mg-slots")) return;
		this.showPicked();
		this.tell("slot-chosen", { start: target.value });
	}

	get time() {
		return this.$(".mg-time :checked + * bdi")?.textContent;
	}

	showPicked() {
		const picked = this.$(".mg-picked");
		if (picked) picked.textContent = this.time ? `${picked.dataset.day}, ${this.time}` : "";
	}

	/** Times of a while ago, asked for again; what was chosen stays chosen or is said to be gone. */
	async refresh() {
		const { time } = this, chosen = this.$(".mg-slots :checked"), day = this.$("a.mg-day-chosen");
		const focused = this.$(".mg-slots").contains(document.activeElement);
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
		else if (this.$(".mg-slots") && Date.now() - this.leftAt > 3e5) this.refresh();
		this.follow();
	}

	guessZone() {
		const zone = this.$(".mg-zone[data-guess]");
		const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
		if (!zone || !mine || mine === zone.dataset.zone) return;
		const form = zone.querySelector("form"), body = new FormData(form);
		body.set("tz", mine);
		this.reload(form.action, body).catch(() => {});
	}

	async on_submit(event) {
		const form = event.target, { busy, slow } = form.dataset;
		if (form.matches(".mg-times-form")) {
			if (!this.time || Date.now() - this.loadedAt < 6e4) return;
			event.preventDefault();
			if (await this.refresh()) this.$(".mg-times-form").submit();
		} else if (form.matches(".mg-zone-form[method=post]")) {
			event.preventDefault();
			await this.reload(form.action, new FormData(form)).catch(() => form.submit());
			this.$(".mg-zone summary").focus();
		} else if (form.method === "post") {
			if (form.ariaBusy) return event.preventDefault();
			const button = event.submitter ?? form.querySelector("button");
			form.ariaBusy = button.ariaDisabled = "true";
			if (!busy) return;
			button.dataset.label = button.textContent;
			button.textContent = busy;
			setTimeout(() => this.say(slow, true), 4e3);
		}
	}

	/** Back from the next page, as the browser kept us. */
	on_pageshow({ persisted }) {
		for (const item of persisted ? this.querySelectorAll("form, button") : []) {
			item.ariaBusy = item.ariaDisabled = null;
			if (item.dataset.label) item.textContent = item.dataset.label;
		}
	}

	on_input({ target }) {
		const { left } = target.dataset, count = target.maxLength - target.value?.length;
		if (!left) return;
		const text = fill(left, { count });
		target.nextElementSibling?.remove();
		target.after(make("p", { className: "mg-hint", ariaHidden: "true", textContent: text }));
		if (count <= 50 && !target.told) this.say(text);
		target.told = count <= 50;
	}

	/** Look again while the page waits: often at first. It tells, and leaves the focus where it is. */
	follow() {
		clearTimeout(this.next);
		const article = this.$("article[data-poll]");
		if (!article || document.hidden) return;
		const [often, long, then] = article.dataset.poll.split(" ");
		const pause = performance.now() > long * 1e3 ? then : often;
		if (pause) this.next = setTimeout(() => this.lookAgain(article), pause * 1e3);
	}

	async lookAgain(article) {
		const form = article.querySelector("form[data-look]");
		try {
			const found = await this.ask(location.href, form && new FormData(form));
			const fresh = found?.querySelector("article[data-screen]");
			if (fresh && fresh.dataset.screen !== article.dataset.screen) {
				const inside = article.contains(document.activeElement), title = fresh.querySelector("h1");
				title.autofocus = false;
				article.replaceWith(fresh);
				document.title = found.title;
				if (inside) title.focus();
				else this.say(title.textContent);
				this.tellBooked();
			}
		} catch {
			// Nobody asked for this look; the next one is soon.
		}
		this.follow();
	}

	tellBooked() {
		const booking = this.$("article[data-booked]")?.dataset.booked;
		if (booking) this.tell("booked", { booking });
	}
}

customElements.define("meetergo-booking", MeetergoBooking);
