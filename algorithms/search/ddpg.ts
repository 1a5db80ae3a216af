import exp from "@stdlib/math-base-special-exp";
import type { RandomNumbers } from "../laboratory.js";
import {
  activate,
  follow,
  perceptron,
  propagate,
  startAdam,
  stepAdam,
  zerosLike,
  type Activations,
  type Adam,
  type Perceptron,
} from "./perceptron.js";
import { normal } from "./random.js";

/** One action, and what came of it. */
export interface Transition {
  readonly state: Float64Array;
  /** In [0, 1]. */
  readonly action: number;
  readonly reward: number;
  readonly next: Float64Array;
  readonly isLast: boolean;
}

/**
 * An agent of deep deterministic policy gradients (Lillicrap et al., 2016) with one action in [0, 1], as
 * HAQ uses it: plain data.
 */
export interface Agent {
  readonly actor: Perceptron;
  readonly critic: Perceptron;
  readonly targetActor: Perceptron;
  readonly targetCritic: Perceptron;
  readonly actorAdam: Adam;
  readonly criticAdam: Adam;
  /** What rewards are compared with. */
  readonly baseline: number | undefined;
}

const HIDDEN = 64;
const ACTOR_RATE = 1e-4;
const CRITIC_RATE = 1e-3;
const TAU = 0.01;
const GAMMA = 1;
const BASELINE_RATE = 0.5;

export function createAgent(features: number, random: RandomNumbers): Agent {
  const actor = perceptron([features, HIDDEN, HIDDEN, 1], random);
  const critic = perceptron([features + 1, HIDDEN, HIDDEN, 1], random);
  return {
    ...{ actor, critic },
    targetActor: structuredClone(actor),
    targetCritic: structuredClone(critic),
    actorAdam: startAdam(actor),
    criticAdam: startAdam(critic),
    baseline: undefined,
  };
}

const sigmoid = (x: number): number => 1 / (1 + exp(-x));
const only = ({ output }: Activations): number => output[0] ?? NaN;
const withAction = (state: Float64Array, action: number): Float64Array =>
  Float64Array.from([...state, action]);

/** What the actor would do. */
export const actionOf = (actor: Perceptron, state: Float64Array): number =>
  sigmoid(only(activate(actor, state)));

/** A normal number around a mean that lies in [0, 1]. */
export function truncatedNormal(mean: number, deviation: number, random: RandomNumbers): number {
  for (;;) {
    const drawn = mean + deviation * normal(random);
    if (drawn >= 0 && drawn <= 1) return drawn;
  }
}

/**
 * One update: the critic towards rewards above the baseline plus what the targets expect, the actor
 * towards what the critic values; then the targets follow.
 */
export function learn(agent: Agent, batch: readonly Transition[]): Agent {
  const { actor, critic, targetActor, targetCritic } = agent;
  const mean = batch.reduce((sum, { reward }) => sum + reward, 0) / batch.length;
  const baseline =
    agent.baseline === undefined ? mean : agent.baseline + BASELINE_RATE * (mean - agent.baseline);

  const criticSums = zerosLike(critic);
  for (const { state, action, reward, next, isLast } of batch) {
    const future = isLast
      ? 0
      : only(activate(targetCritic, withAction(next, actionOf(targetActor, next))));
    const seen = activate(critic, withAction(state, action));
    const error = only(seen) - (reward - baseline + GAMMA * future);
    propagate(critic, seen, Float64Array.of((2 * error) / batch.length), criticSums);
  }
  const criticAdam = stepAdam(critic, agent.criticAdam, {
    ...{ gradients: criticSums, rate: CRITIC_RATE },
  });

  const actorSums = zerosLike(actor);
  for (const { state } of batch) {
    const acted = activate(actor, state);
    const action = sigmoid(only(acted));
    const valued = activate(critic, withAction(state, action));
    const slopes = propagate(critic, valued, Float64Array.of(-1 / batch.length));
    const byAction = slopes.at(-1) ?? NaN;
    propagate(actor, acted, Float64Array.of(byAction * action * (1 - action)), actorSums);
  }
  const actorAdam = stepAdam(actor, agent.actorAdam, { gradients: actorSums, rate: ACTOR_RATE });
  follow(targetActor, actor, TAU);
  follow(targetCritic, critic, TAU);
  return { ...agent, criticAdam, actorAdam, baseline };
}
