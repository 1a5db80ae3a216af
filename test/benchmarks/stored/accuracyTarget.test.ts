import { expect, test } from "vitest";
import { reachAccuracy } from "../../../benchmarks/stored/accuracyTarget.js";
import type { SiteBits } from "../../../pipelines/deploy/index.js";
import { randomStream } from "../../../pipelines/engine/index.js";

const WIDTHS = [4, 8, 16, 32] as const;
const LAYERS = ["a", "b", "c", "d", "e"];

/** A network whose layers each lose what their weights lose at 4 bits, less at more bits. */
function invented(seed: number) {
  const random = randomStream(seed, "invented network");
  const harm = new Map(LAYERS.map((layer) => [layer, 0.05 * random.uniform()]));
  const macs = new Map(LAYERS.map((layer) => [layer, 1 + random.integer(1000)]));
  const bitsOf = (bits: SiteBits, layer: string) => bits[`${layer}/kernel`] ?? 4;
  const lost = (bits: SiteBits): number =>
    LAYERS.reduce((sum, layer) => {
      const at = bitsOf(bits, layer);
      return sum + (at === 32 ? 0 : (harm.get(layer) ?? NaN) * 4 ** (4 - at));
    }, 0);
  const bitOps = (bits: SiteBits): number =>
    LAYERS.reduce((sum, layer) => sum + (macs.get(layer) ?? NaN) * bitsOf(bits, layer) ** 2, 0);
  const behavior = (bits: SiteBits) => ({
    ...{ accuracy: 0.9 - lost(bits), loss: lost(bits), sqnr: null },
  });
  return { lost, bitOps, behavior };
}

/** All assignments of widths to layers. */
const everyChoice: readonly SiteBits[] = LAYERS.reduce<readonly SiteBits[]>(
  (known, layer) =>
    known.flatMap((bits) => WIDTHS.map((width) => ({ ...bits, [`${layer}/kernel`]: width }))),
  [{}],
);

const reach = (network: ReturnType<typeof invented>, mostLost: number) =>
  reachAccuracy({
    network: {
      deployed: (bits) => Promise.resolve(network.behavior(bits)),
      inFloat: () => ({ accuracy: 0.9, loss: 0, sqnr: null }),
    },
    layers: LAYERS.map((layer) => ({
      part: { layer, kind: "layer", sites: [`${layer}/kernel`] },
      bits: [8, 16, 32],
    })),
    own: Object.fromEntries(LAYERS.map((layer) => [`${layer}/kernel`, 4])),
    ...{ bitOps: network.bitOps, mostLost, onTry: () => undefined },
  });

test("what is chosen keeps the accuracy, cannot be lowered anywhere, and costs little more than the best of all", async () => {
  let [excess, cases] = [0, 0];
  for (let seed = 0; seed < 20; seed++) {
    const network = invented(seed);
    for (const mostLost of [0.001, 0.01, 0.05]) {
      const { chosen, sites = {} } = await reach(network, mostLost);
      expect(network.lost(sites)).toBeLessThanOrEqual(mostLost + 1e-9);
      for (const [id, bits] of Object.entries(sites)) {
        const lower = WIDTHS[WIDTHS.indexOf(bits as (typeof WIDTHS)[number]) - 1] ?? 4;
        expect(network.lost({ ...sites, [id]: lower })).toBeGreaterThan(mostLost);
      }
      const least = Math.min(
        ...everyChoice.filter((bits) => network.lost(bits) <= mostLost).map(network.bitOps),
      );
      expect(chosen?.bitOps).toBeGreaterThanOrEqual(least);
      excess += (chosen?.bitOps ?? NaN) / least - 1;
      cases++;
    }
  }
  expect(excess / cases).toBeLessThan(0.1);
});

test("nothing is raised where nothing is lost, and everything that was tried is there", async () => {
  const network = invented(0);
  const { chosen, tried } = await reach(network, 0.9);
  expect(chosen?.layers).toEqual({});
  // Every layer alone at each width, and the way up to float.
  expect(tried.length).toBeGreaterThanOrEqual(1 + 3 * LAYERS.length);
  expect(tried.at(-1)?.behavior.accuracy).toBe(0.9);
  expect(tried.map(({ bitOps }) => bitOps)).toEqual(
    tried.map(({ bitOps }) => bitOps).toSorted((a, b) => a - b),
  );
});

test("the way ends in float also for a tensor that costs nothing and is best at 8 bits", async () => {
  const harm = (bits = 4) => ({ 4: 0.01, 8: 0.02, 16: 0.03, 32: 0.025 })[bits] ?? NaN;
  const loss = (bits: SiteBits) => harm(bits["free"]) + 1 / (bits["costly"] ?? 4);
  const layer = (name: string) => ({
    part: { layer: name, kind: "tensor" as const, sites: [name] },
    bits: [8, 16, 32],
  });
  const { tried } = await reachAccuracy({
    network: {
      deployed: (bits) => Promise.resolve({ accuracy: 0.5, loss: loss(bits), sqnr: null }),
      inFloat: () => ({ accuracy: 1, loss: 0, sqnr: null }),
    },
    layers: [layer("free"), layer("costly")],
    ...{ own: { free: 4, costly: 4 }, bitOps: (bits) => bits["costly"] ?? 4 },
    ...{ mostLost: 0.01, onTry: () => undefined },
  });
  expect(tried.at(-1)?.layers).toEqual({ costly: 32, free: 32 });
});

test("nothing is chosen where even float falls short of what was asked", async () => {
  const network = invented(0);
  const { chosen, sites } = await reachAccuracy({
    network: {
      deployed: (bits) => Promise.resolve(network.behavior(bits)),
      inFloat: () => ({ accuracy: 1, loss: 0, sqnr: null }),
    },
    layers: [],
    ...{ own: {}, bitOps: network.bitOps, mostLost: 0.01, onTry: () => undefined },
  });
  expect(chosen).toBeUndefined();
  expect(sites).toBeUndefined();
});
