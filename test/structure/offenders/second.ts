import type { First } from "./first.js";

export interface Second {
  readonly first?: First;
}
