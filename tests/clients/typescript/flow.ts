/* The whole flow of a booking with a generated client: `node flow.js ADDRESS STEP ARGUMENT…` prints the result.
   With LOSE=1 the answer to the first POST is lost, and the request is sent again. */

import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Booking = components["schemas"]["Booking"];
type Managed = components["schemas"]["Managed"];
type Slot = components["schemas"]["Slot"];

const [address = "", step = "", ...given] = process.argv.slice(2);
let toLose = Number(process.env["LOSE"] ?? 0);

async function fetchLossy(request: Request): Promise<Response> {
	const again = request.clone();
	const answer = await fetch(request);
	if (request.method !== "POST" || toLose-- <= 0) return answer;
	await answer.arrayBuffer();
	return fetch(again);
}

const client = createClient<paths>({ baseUrl: address, fetch: fetchLossy });

function need<T>(value: T | undefined | null, what: string): T {
	if (value === undefined || value === null) throw new Error(`${what} is missing`);
	return value;
}

async function listTimes(slug: string): Promise<Slot[]> {
	const { data: types } = await client.GET("/meeting-types");
	if (!need(types, "the list").results.some((one) => one.slug === slug)) throw new Error(`no ${slug}`);
	const { data: type } = await client.GET("/meeting-types/{slug}", { params: { path: { slug } } });
	const required = need(type, "the type").inputs.filter((one) => one.required).map((one) => one.name);
	if (!required.includes("first_name")) throw new Error("no name is asked for");
	const query = { timezone: "Europe/Berlin" };
	const { data } = await client.GET("/meeting-types/{slug}/availability", { params: { path: { slug }, query } });
	return need(data, "the times").times;
}

async function book(slug: string, start: string, email = "jane@example.com"): Promise<unknown> {
	const body = { meeting_type: slug, start, first_name: "Jane", last_name: "Doe", email, timezone: "Europe/Berlin" };
	const header = { "Idempotency-Key": randomUUID() };
	const { data, error, response } = await client.POST("/bookings", { params: { header }, body });
	if (data) return follow(data, response.status);
	switch (error.type) {
		case "urn:problem-type:django-meetergo:slot-taken":
			return { taken: start, ...((await book(slug, need(error.alternatives[0], "an alternative").start, email)) as object) };
		case "urn:problem-type:django-meetergo:invalid-fields":
			return { status: error.status, errors: Object.fromEntries(Object.entries(error.errors).map(([name, found]) => [name, found[0]?.code])) };
		case "urn:problem-type:django-meetergo:booking-closed":
			return { status: error.status, reason: error.reason };
		default:
			return { status: error.status, type: error.type };
	}
}

/* Ask for the result until nothing will change, or somebody has to confirm. */
async function follow(booking: Booking, first: number): Promise<unknown> {
	let present = booking;
	while (present.is_open && present.state !== "pending") {
		await new Promise((done) => setTimeout(done, 10 * need(present.poll_after_seconds, "the interval")));
		const { data } = await client.POST("/bookings/{token}/check", { params: { path: { token: present.token } } });
		present = need(data, "the booking");
	}
	return { status: first, state: present.state, start: present.start, token: present.token, manage: present.manage?.token ?? null };
}

/* Show a booking, after meetergo was asked: the attendee says that they have confirmed it. */
async function show(token: string): Promise<unknown> {
	const { data: found } = await client.GET("/bookings/{token}", { params: { path: { token } } });
	const path = { token: need(found, "the booking").token };
	const { data } = await client.POST("/bookings/{token}/check", { params: { path } });
	return follow(need(data, "the booking"), 200);
}

async function reschedule(token: string): Promise<unknown> {
	const path = { token };
	const { data } = await client.GET("/manage/{token}/availability", { params: { path } });
	const { start } = need(need(data, "the times").times[3], "another time");
	const { data: moved, error } = await client.POST("/manage/{token}/reschedule", { params: { path }, body: { start } });
	return moved ? describe(moved) : { status: error.status, type: error.type };
}

async function cancel(token: string): Promise<unknown> {
	const params = { path: { token } };
	const { data, error } = await client.POST("/manage/{token}/cancel", { params, body: { reason: "I am well again" } });
	return data ? describe(data) : { status: error.status, type: error.type };
}

function describe({ state, start, change }: Managed): unknown {
	return { state, start, change: change?.state ?? null };
}

const steps: Record<string, (...texts: string[]) => Promise<unknown>> = {
	times: async (slug = "") => (await listTimes(slug)).map((slot) => slot.start),
	book: (slug = "", start = "", email) => book(slug, start, email),
	show: (token = "") => show(token),
	reschedule: (token = "") => reschedule(token),
	cancel: (token = "") => cancel(token),
};
console.log(JSON.stringify(await need(steps[step], "the step")(...given)));
