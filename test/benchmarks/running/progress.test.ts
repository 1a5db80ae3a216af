import { Writable } from "node:stream";
import { afterEach, expect, test, vi } from "vitest";
import { imagePace, type ImageProgress } from "../../../pipelines/train/index.js";
import { ProgressDisplay } from "../../../benchmarks/running/progress.js";

const totals = { done: 3, total: 10, failed: 0, secondsLeft: 125 };

/** What a display writes where lines stay, as a log. */
function log(mode: "lines" | "json" | "none") {
  let text = "";
  const out = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  const display = new ProgressDisplay(mode, out as unknown as NodeJS.WriteStream);
  return { display, lines: () => text.split("\n").slice(0, -1) };
}

afterEach(() => {
  vi.useRealTimers();
});

test("a finished cell's line says its accuracy and what was lost", () => {
  const { display, lines } = log("lines");
  const accuracy = { float: 0.8871, device: 0.8817 };
  display.cell(totals, { cell: "a", state: "completed", accuracy });
  display.cell(totals, { cell: "b", state: "failed", reason: "no memory" });
  expect(lines()).toEqual([
    "[3/10, 2 min 5 s left] a: 88.17 % (−0.54)",
    "[3/10, 2 min 5 s left] b: failed: no memory",
  ]);
});

test("a time left that nobody knows is not said", () => {
  const { display, lines } = log("lines");
  display.pretrained({ ...totals, secondsLeft: Infinity }, "resnet8 seed 0");
  expect(lines()).toEqual(["[3/10] resnet8 seed 0: done"]);
});

test("a stage that goes through images says how fast and how long it will take", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const { display, lines } = log("lines");
  let found: ImageProgress | undefined;
  const told = imagePace(500, (progress) => (found = progress));
  vi.advanceTimersByTime(60_000);
  told(200); // 3.33 a second, so that 300 take 90 seconds
  vi.advanceTimersByTime(10_000);
  display.status(() => totals, [{ label: "resnet50 minMax", stage: "evaluation", ...found }]);
  expect(lines()).toEqual([
    "[3/10, 2 min 5 s left] resnet50 minMax: evaluation 40 %, 3.3 images/s, 1 min 30 s left",
  ]);
});

test("a log has a heartbeat when nothing ended for a minute", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const { display, lines } = log("lines");
  const running = [{ label: "resnet8 lsq", stage: "quantized training", step: 45, steps: 100 }];
  const look = (seconds: number) => {
    vi.advanceTimersByTime(seconds * 1000);
    display.status(() => totals, running);
  };
  look(30);
  look(29);
  expect(lines()).toEqual([]);
  look(2);
  expect(lines()).toEqual(["[3/10, 2 min 5 s left] resnet8 lsq: quantized training 45 %"]);
  look(30);
  display.note("something"); // a line that stays is as good
  look(40);
  expect(lines()).toHaveLength(2);
  look(21);
  expect(lines()).toHaveLength(3);
});

test("a search that has tried nothing yet has no loss", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const { display, lines } = log("lines");
  const cell = { label: "resnet8 haq", stage: "search", step: 1, steps: 4, loss: NaN };
  vi.advanceTimersByTime(61_000);
  // As it comes from another process.
  display.status(() => totals, [JSON.parse(JSON.stringify(cell)) as typeof cell]);
  expect(lines()).toEqual(["[3/10, 2 min 5 s left] resnet8 haq: search 25 %"]);
});
