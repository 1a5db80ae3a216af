import { describe, expect, test } from "vitest";
import { accuracyControl } from "../../../algorithms/accuracyControl.js";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { hawq } from "../../../algorithms/hawq.js";
import type { Laboratory } from "../../../algorithms/laboratory.js";
import { randomSearch } from "../../../algorithms/randomSearch.js";
import type { Quantization } from "../../../pipelines/quantize/quantize.js";
import type { Dataset } from "../../../pipelines/train/index.js";
import { dataset, hyperparameters, searchToy } from "../../searching.js";

/** An algorithm whose search is to be looked at. */
const searching = (run: (laboratory: Laboratory) => Promise<void>): Algorithm => ({
  ...randomSearch,
  search: {
    ...randomSearch.search,
    run: async (laboratory) => {
      await run(laboratory);
      return { policy: {} };
    },
  },
});

const look = (run: (laboratory: Laboratory) => Promise<void>, changes?: Partial<Quantization>) =>
  searchToy(searching(run), changes);

describe("a search", () => {
  test.each([
    { ...randomSearch, bits: 4 },
    { ...hawq, bits: 4 },
    { ...accuracyControl, bits: 2 },
  ])(
    "that is killed ten times at random moments ends with the same bits: $name",
    async ({ bits, ...algorithm }) => {
      const { deaths: none, ...whole } = await searchToy(algorithm, { bits });
      const { deaths, ...killed } = await searchToy(algorithm, { bits, killed: 0.25 });
      expect(none).toBe(0);
      expect(deaths).toBeGreaterThanOrEqual(10);
      expect(killed).toEqual(whole);
      expect(whole.search?.visits.used).toBeGreaterThan(0);
    },
  );

  test("cannot reach test images, and finds the same whatever they are", async () => {
    const unreachable = new Proxy(dataset.test, {
      get(_, name) {
        throw new Error(`a test image was asked for: ${String(name)}`);
      },
    });
    const closed: Dataset = { ...dataset, test: unreachable };
    const blind = await searchToy(randomSearch, { dataset: closed });
    expect(blind).toEqual(await searchToy(randomSearch));
  });

  test("trains on no image that is held out, and judges by no image that calibration sees", async () => {
    const key = (pixels: ArrayLike<number>) => Array.from(pixels).join();
    const imagesOf = (batches: Iterable<Laboratory["heldOut"][number]>) =>
      new Set(
        [...batches].flatMap(({ images, labels }) =>
          Array.from(labels.data, (_, i) =>
            key(images.data.subarray(i * 64, (i + 1) * 64) as Float32Array),
          ),
        ),
      );
    const still = { ...hyperparameters, augmentation: { shift: 0, flip: false } };
    await look(
      async ({ heldOut, epoch, calibration }) => {
        const judged = imagesOf(heldOut);
        const trained = imagesOf([...epoch("a"), ...epoch("b"), ...epoch("c"), ...epoch("d")]);
        expect(judged.size).toBe(24);
        expect(trained.size).toBe(40);
        for (const image of trained) expect(judged.has(image)).toBe(false);
        for (const image of imagesOf(calibration)) {
          expect(judged.has(image)).toBe(false);
          expect(trained.has(image)).toBe(true);
        }
        return Promise.resolve();
      },
      { hyperparameters: still },
    );
  });

  test("pays for every image, thrice where gradients come back, and not beyond what is allowed", async () => {
    await look(async (laboratory) => {
      const { evaluate, visits, visitsPerEvaluation, prepare, parameters, heldOut } = laboratory;
      expect(visitsPerEvaluation).toBe(24 + 3 * 2 * 8);
      await evaluate({});
      expect(visits.used).toBe(visitsPerEvaluation);
      const [batch] = heldOut;
      if (batch === undefined) throw new Error("nothing is held out");
      await prepare({ by: [], training: false })(parameters, batch);
      expect(visits.used).toBe(visitsPerEvaluation + 24);
      await prepare({ by: ["stem/kernel"], training: true })(parameters, batch);
      expect(visits.used).toBe(visitsPerEvaluation + 4 * 24);
      for (let i = 0; i < 11; i++) await evaluate({});
      await expect(evaluate({})).rejects.toThrow(
        /may visit 1000 images and has visited 984: 24 more are too many/,
      );
    });
  });

  test("sees float at 32 bits, and a wide policy score better than a narrow one", async () => {
    const untuned = {
      ...hyperparameters,
      search: { ...hyperparameters.search, fineTuning: { steps: 0, learningRate: 0.001 } },
    };
    await look(
      async ({ evaluate, free, sites, prepare, parameters, heldOut }) => {
        const every = (bits: number, of = sites) =>
          Object.fromEntries(of.map(({ id }) => [id, bits]));
        const inFloat = await evaluate(every(32));
        let loss = 0;
        const run = prepare({ by: [], training: false });
        for (const batch of heldOut) loss += (await run(parameters, batch)).loss / heldOut.length;
        expect(inFloat.loss).toBe(loss);
        const wide = await evaluate(every(8, free));
        const narrow = await evaluate(every(2, free));
        expect(Math.abs(wide.loss - loss)).toBeLessThan(Math.abs(narrow.loss - loss) / 5);
      },
      { hyperparameters: untuned },
    );
  });

  test.each([
    ["a layer that keeps its bits", { "stem/kernel": 2 }, /may not choose/],
    [
      "a width that is none",
      { "s1.0.a/kernel": 9 },
      /9 bits to s1.0.a\/kernel; it may choose 2, 3/,
    ],
    ["more than the budget", { "s1.0.a/kernel": 8 }, /over/],
  ])("is refused %s", async (_, policy, message) => {
    const algorithm: Algorithm = {
      ...randomSearch,
      search: { ...randomSearch.search, run: () => Promise.resolve({ policy }) },
    };
    await expect(searchToy(algorithm)).rejects.toThrow(message);
  });

  test("costs on hardware are those by which results are judged", async () => {
    await look(async ({ cost, free }) => {
      const two = Object.fromEntries(free.map(({ id }) => [id, 2]));
      // ResNet-8 of width 4 has 4764 weights between stem and classifier, 36 and 64 in those.
      const inner = free
        .filter(({ role }) => role === "weight")
        .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
      expect(cost({}, { unit: "size" })).toBe(4 * inner + 8 * (36 + 64));
      expect(cost(two, { unit: "size" })).toBe(2 * inner + 8 * (36 + 64));
      expect(cost(two, { unit: "cycles", on: "mpic" })).toBeLessThan(
        cost({}, { unit: "cycles", on: "mpic" }),
      );
      expect(() => cost({}, { unit: "cycles", on: "gpu" })).toThrow(/no hardware model "gpu"/);
      expect(() => cost({}, { unit: "picojoules", on: "bitSerialEdge" })).toThrow(/no picojoules/);
      return Promise.resolve();
    });
  });

  test("random search uses its visits and leaves a trace of policies within the budget", async () => {
    const { search, sites } = await searchToy(randomSearch);
    expect(search?.visits).toEqual({ allowed: 1000, used: 13 * 72 });
    expect(search?.trace).toHaveLength(13);
    for (const { cost } of search?.trace ?? [])
      expect(cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
    const best = search?.trace.reduce((a, b) =>
      b.accuracy > a.accuracy || (b.accuracy === a.accuracy && (b.loss ?? 0) < (a.loss ?? 0))
        ? b
        : a,
    );
    for (const [id, bits] of Object.entries(best?.policy ?? {}))
      expect(sites.find((site) => site.id === id)?.scheme.bitWidth).toBe(bits);
  });

  test("raises bits where accuracy asks for it, and no more: accuracy control", async () => {
    const { search, sites } = await searchToy(accuracyControl, { bits: 2 });
    const trace = search?.trace ?? [];
    const [start, ...tried] = trace;
    const ranked = tried.filter(({ policy }) => Object.keys(policy).length === 1);
    const last = trace.at(-1);
    expect(start?.policy).toEqual({});
    expect(new Set(ranked.map(({ policy }) => Object.keys(policy)[0])).size).toBeGreaterThan(10);
    // Every policy of the second part but the last lost too much.
    const raising = tried.slice(new Set(ranked.map(({ policy }) => Object.keys(policy)[0])).size);
    expect(raising.length).toBeGreaterThan(0);
    for (const { accuracy } of raising.slice(0, -1))
      expect(accuracy).toBeLessThan(last?.accuracy ?? 0);
    for (const [id, bits] of Object.entries(last?.policy ?? {})) {
      expect(bits).toBe(8);
      expect(sites.find((site) => site.id === id)?.scheme.bitWidth).toBe(8);
    }
    expect(Object.keys(last?.policy ?? {}).length).toBeGreaterThan(0);
  });

  test("with few visits raises several tensors at once, and still loses no more than it may", async () => {
    const images = hyperparameters.search.heldOut;
    const search = { ...hyperparameters.search, visits: 7 * images };
    const found = await searchToy(accuracyControl, {
      bits: 2,
      hyperparameters: { ...hyperparameters, search },
    });
    const sizes = found.search?.trace.map(({ policy }) => Object.keys(policy).length) ?? [];
    expect(found.search?.visits.used).toBeLessThanOrEqual(search.visits);
    // Nothing raised, then groups of neighbors, none of them alone; what is chosen was tried last.
    expect(sizes[0]).toBe(0);
    expect(Math.min(...sizes.slice(1))).toBeGreaterThan(1);
    const raised = found.sites.filter(({ scheme }) => scheme.bitWidth === 8).map(({ id }) => id);
    expect(raised).toEqual(
      expect.arrayContaining(Object.keys(found.search?.trace.at(-1)?.policy ?? {})),
    );
  });
});
