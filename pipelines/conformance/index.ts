// What every quantizer must hold, tried on every number format of every backend (quantbench check). A
// newcomer adds a check, with a deliberately wrong quantizer that it catches; what one algorithm alone
// must hold is a test of that algorithm.
import * as tf from "#tf";
import {
  unsupportedLevels,
  type Algorithm,
  type QuantizerSite,
} from "../../algorithms/algorithm.js";
import { rangeOf } from "../../algorithms/affine.js";
import type { Observer } from "../../algorithms/observers/index.js";
import type { BackendProfile } from "../../backends/backend.js";
import type { Engine } from "../engine/index.js";
import { quantizerOf, resolveScheme } from "../network/index.js";
import { calibrationProblems } from "./calibration.js";
import { problemsOf } from "./checks.js";
import { staysFinite } from "./extremes.js";
import { notFiniteOn } from "./extremesOnEngine.js";
import { KnownOutcomes } from "./knownOutcomes.js";
import { numbers, SHAPE } from "./subject.js";

export { calibrationProblems } from "./calibration.js";
export { checks, problemsOf } from "./checks.js";
export { fingerprint } from "./fingerprint.js";
export { toTensors, toValues } from "./subject.js";

const KINDS = ["weight", "signed activation", "rectified activation"] as const;
const BIT_WIDTHS = [1, 2, 3, 4, 8] as const;

/** One kind of tensor of a backend at one bit width. */
export interface Place {
  readonly backend: string;
  readonly kind: (typeof KINDS)[number];
  readonly site: QuantizerSite;
}

/** Every kind of tensor of every backend, at all bit widths that it can hold. */
export function placesOf(backends: readonly BackendProfile[]): Place[] {
  return backends.flatMap((backend) =>
    KINDS.flatMap((kind) => {
      const role = kind === "weight" ? ("weight" as const) : ("activation" as const);
      const { min, max } = backend.bitWidths[role === "weight" ? "weights" : "activations"];
      const widths = BIT_WIDTHS.filter((bits) => bits >= min && bits <= max);
      return (widths.length > 0 ? widths : [max]).map((bitWidth) => ({
        backend: backend.name,
        kind,
        site: siteFor(backend, kind, bitWidth),
      }));
    }),
  );
}

function siteFor(backend: BackendProfile, kind: Place["kind"], bitWidth: number): QuantizerSite {
  const isWeight = kind === "weight";
  const nonNegative = kind === "rectified activation";
  const scheme = isWeight ? backend.weights : backend.activations;
  return {
    id: "site",
    role: isWeight ? "weight" : "activation",
    scheme: resolveScheme(scheme, bitWidth, nonNegative),
    shape: isWeight ? SHAPE : SHAPE.slice(1),
    channelAxis: 3,
    nonNegative,
    multiplications: 1000,
  };
}

export interface Finding {
  readonly place: Place;
  readonly check: string;
  readonly problem: string;
}

export interface ConformanceReport {
  readonly places: number;
  /** Places that the algorithm says it cannot serve, by reason. */
  readonly unsupported: ReadonlyMap<string, number>;
  readonly findings: readonly Finding[];
  /** Findings that the algorithm declares, because its source has them. */
  readonly known: readonly Finding[];
}

const knownProblems = new KnownOutcomes<ReturnType<typeof problemsOf>>();
/** What was not finite on an engine, if anything. */
const knownExtremes = new KnownOutcomes<{ readonly problem: string | undefined }>();

/** Bits at which places are tried on engines, where they can have them. */
const ENGINE_BITS = 4;

/**
 * Tries an algorithm's quantizers at every place that it supports.
 *
 * @param engines where steps on extreme tensors run too, beside tfjs
 */
export async function checkAlgorithm(
  algorithm: Algorithm,
  backends: readonly BackendProfile[],
  engines: readonly Engine[] = [],
): Promise<ConformanceReport> {
  await tf.setBackend("cpu");
  const unsupported = new Map<string, number>();
  const findings: Finding[] = [];
  const supported: Place[] = [];
  for (const place of placesOf(backends)) {
    const quantizer = quantizerOf(algorithm, place.site);
    const reason = unsupportedLevels(quantizer, place.site) ?? algorithm.unsupported?.(place.site);
    if (reason !== undefined) {
      unsupported.set(reason, (unsupported.get(reason) ?? 0) + 1);
      continue;
    }
    supported.push(place);
    const key = JSON.stringify(place.site); // backends share schemes
    const problems =
      knownProblems.get(quantizer, key) ??
      knownProblems.set(quantizer, key, problemsOf(quantizer, place.site));
    findings.push(...problems.map((problem) => ({ place, ...problem })));
  }
  findings.push(...calibrationProblems((site) => quantizerOf(algorithm, site), supported));
  for (const engine of engines) findings.push(...(await extremesOn(engine, algorithm, supported)));
  const isKnown = ({ check }: Finding) => algorithm.knownDefects?.includes(check) ?? false;
  return {
    places: supported.length,
    unsupported,
    findings: findings.filter((finding) => !isKnown(finding)),
    known: findings.filter(isKnown),
  };
}

/** What is not finite on an engine, at one place of each form; compiling takes long. */
async function extremesOn(engine: Engine, algorithm: Algorithm, places: readonly Place[]) {
  const forms = new Map<string, Place>();
  for (const place of places) {
    const { role, scheme } = place.site;
    const { symmetric, signed, granularity, scaleForm } = scheme;
    const form = JSON.stringify([role, symmetric, signed, granularity, scaleForm]);
    if (scheme.bitWidth === ENGINE_BITS || !forms.has(form)) forms.set(form, place);
  }
  const title = `${engine.name}${engine.lowering === undefined ? "" : ` (${engine.lowering})`}`;
  const tried = [...forms.values()].map((place) => {
    const { site } = place;
    return {
      place,
      site,
      quantizer: quantizerOf(algorithm, site),
      key: title + JSON.stringify(site),
    };
  });
  const news = tried.filter(
    ({ quantizer, key }) => knownExtremes.get(quantizer, key) === undefined,
  );
  if (news.length > 0) {
    const problems = await notFiniteOn(engine, news);
    for (const [i, { quantizer, key }] of news.entries())
      knownExtremes.set(quantizer, key, { problem: problems.get(i) });
  }
  return tried.flatMap(({ place, quantizer, key }): Finding[] => {
    const problem = knownExtremes.get(quantizer, key)?.problem;
    if (problem === undefined) return [];
    return [{ place, check: staysFinite.name, problem: `on ${title}, ${problem}` }];
  });
}

/** What is wrong with an observer at one kind of place. */
export function observerProblems(observer: Observer, site: QuantizerSite): string[] {
  return tf.tidy(() => {
    const problems: string[] = [];
    // Heavy tails: a few values many times as large as the rest.
    const data = Float32Array.from({ length: SHAPE.reduce((a, b) => a * b) }, (_, i) => {
      const value = Math.sin(i * 12.9898) * (i % 53 === 7 ? 40 : 1);
      return site.nonNegative ? Math.abs(value) : value;
    });
    const observed = Object.entries(observer.observe(tf.tensor(data, [...SHAPE]), site)).map(
      ([name, tensor]) => [name, { shape: tensor.shape, data: numbers(tensor) }] as const,
    );
    const { scale, zeroPoint } = observer.grid([Object.fromEntries(observed)], 0, site);
    if (!(scale > 0 && Number.isFinite(scale))) problems.push(`its scale is ${String(scale)}`);
    if (!Number.isInteger(zeroPoint)) problems.push(`its zeroPoint is ${String(zeroPoint)}`);
    if (observer.clips && site.scheme.granularity === "perTensor") {
      const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const { quantMin, quantMax } = rangeOf(site);
      const levels = quantMax - quantMin;
      const { symmetric, signed } = site.scheme;
      const reach = symmetric && signed ? (scale * levels) / 2 : scale * levels;
      const whole = symmetric || site.nonNegative ? largest : 2 * largest;
      // A power of two may round the range up by the root of two.
      const slack = site.scheme.scaleForm === "powerOfTwo" ? Math.SQRT2 : 1;
      if (reach > whole * slack * 1.001)
        problems.push(
          `says that it clips, but reaches ${String(reach)} for values up to ${String(whole)}`,
        );
    }
    return problems;
  });
}
