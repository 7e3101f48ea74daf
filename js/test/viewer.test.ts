import { expect, test } from "vitest";
import type { FromBrowser, Push, Request } from "../src/protocol";
import { read } from "../src/protocol";
import { Rows } from "../src/rows";
import {
  BEAT_EVERY,
  BUSY_AFTER,
  FIRST_PATIENCE,
  HIDDEN_FOR,
  SILENT_AFTER,
  Viewer,
} from "../src/viewer";
import { fromBrowser, fromKernel } from "./samples";

const WISH = { start: 0, count: 30, anchor: null, revision: 0 };

function meet() {
  const sent: FromBrowser[] = [];
  const rows = new Rows();
  const viewer = new Viewer<Push>((message) => sent.push(message as FromBrowser), rows);
  viewer.hello(WISH, 0);
  const take = (message: Push, now = 0) => viewer.take(message, WISH, now);
  return { sent, rows, viewer, take, types: () => sent.map((message) => message.type) };
}

test("a visit is the sample conversation", () => {
  const { sent, viewer, take } = meet();
  take(fromKernel.first);
  viewer.want({ start: 400, count: 60, anchor: 412, revision: 1 }, 1);
  take({ ...fromKernel.first, seq: 2 }, 1);
  sent.splice(3, 1); // its acknowledgement; the samples have each message once
  for (const { seq, viewer: _, ...request } of fromBrowser.slice(3, -2)) {
    expect(viewer.ask(request as Request, 1)).toBe(seq + 1);
  }
  viewer.tick(WISH, false, 1 + BEAT_EVERY);
  viewer.bye(2 + BEAT_EVERY);
  const plain = sent.map((message, at) => ({
    ...message,
    seq: at + 1,
    viewer: fromBrowser[0]?.viewer,
  }));
  expect(plain).toEqual(fromBrowser);
  expect(viewer.token).toMatch(/^[0-9a-f]{24}$/);
});

test("messages for other viewers, or of no known type, are not read", () => {
  expect(read(fromKernel.first, "somebody else")).toBeUndefined();
  expect(read({ ...fromKernel.first, type: "eval" }, fromKernel.first.viewer)).toBeUndefined();
  expect(read(null, "a")).toBeUndefined();
  expect(read(fromKernel.failed, fromKernel.failed.viewer)).toBe(fromKernel.failed);
});

test("every message is acknowledged, a late one neither acknowledged nor shown", () => {
  const { rows, take, types } = meet();
  take(fromKernel.first);
  take(fromKernel.changed);
  expect(take(fromKernel.first)).toBeUndefined();
  expect(types()).toEqual(["hello", "ack", "ack"]);
  expect(rows.version).toBe(2);
});

test("a patch that does not fit asks for the whole window", () => {
  const { sent, take } = meet();
  take(fromKernel.first);
  expect(take({ ...fromKernel.changed, base: 9 })).toBeUndefined();
  expect(sent.at(-1)).toMatchObject({ type: "window", ...WISH });
});

test("a state of a result that is not here asks for it", () => {
  const { take, types } = meet();
  take(fromKernel.first);
  take(fromKernel.failed);
  expect(types().at(-1)).toBe("window");
});

test("while an answer is under way only the newest wish is kept", () => {
  const { sent, viewer, take } = meet();
  take(fromKernel.first);
  for (const start of [100, 200, 300]) viewer.want({ ...WISH, start, count: 10 }, 0);
  expect(sent.filter((message) => message.type === "window")).toHaveLength(1);
  take({ ...fromKernel.first, seq: 2, start: 100 });
  expect(sent.at(-1)).toMatchObject({ type: "window", start: 300 });
});

test("missing rows are blamed on the kernel after a moment", () => {
  const { viewer, take } = meet();
  take(fromKernel.first);
  viewer.want({ ...WISH, start: 100, count: 10 }, 1000);
  expect(viewer.hint(true, 999 + BUSY_AFTER)).toBe("");
  expect(viewer.hint(true, 1000 + BUSY_AFTER)).toBe("kernel busy");
  expect(viewer.hint(false, 1000 + BUSY_AFTER)).toBe("");
});

test("a silent kernel is called silent, until it speaks", () => {
  const { viewer, take } = meet();
  take(fromKernel.first);
  expect(viewer.hint(false, SILENT_AFTER)).toBe("kernel not answering");
  take(fromKernel.changed, SILENT_AFTER);
  expect(viewer.hint(false, SILENT_AFTER)).toBe("");
});

test("after silence the beat is a hello, so that a forgotten view is known again", () => {
  const { viewer, take, types } = meet();
  take(fromKernel.first);
  viewer.tick(WISH, false, BEAT_EVERY);
  viewer.tick(WISH, false, 2 * BEAT_EVERY);
  expect(types()).toEqual(["hello", "ack", "beat", "hello"]);
});

test("a hello that nobody answers is said again, ever more rarely", () => {
  const { viewer, take, types } = meet();
  viewer.tick(WISH, false, FIRST_PATIENCE - 1);
  expect(types()).toEqual(["hello"]);
  for (let now = 0; now < 10 * FIRST_PATIENCE; now += FIRST_PATIENCE) viewer.tick(WISH, false, now);
  expect(types()).toEqual(["hello", "hello", "hello", "hello"]);
  expect(viewer.hint(true, 10 * FIRST_PATIENCE)).toBe("kernel busy");
  take(fromKernel.first, 10 * FIRST_PATIENCE);
  viewer.tick(WISH, false, 14 * FIRST_PATIENCE);
  expect(types()).toEqual(["hello", "hello", "hello", "hello", "ack"]);
});

test("a page hidden for a minute says bye, and hello when it is seen again", () => {
  const { viewer, take, types } = meet();
  take(fromKernel.first);
  viewer.tick(WISH, true, 1000);
  viewer.tick(WISH, true, 1000 + HIDDEN_FOR);
  viewer.tick(WISH, true, 1000 + 2 * HIDDEN_FOR);
  viewer.tick(WISH, false, 1001 + 2 * HIDDEN_FOR);
  expect(types()).toEqual(["hello", "ack", "bye", "hello"]);
});
