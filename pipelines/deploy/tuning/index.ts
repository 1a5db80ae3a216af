export {
  fastestForm,
  type FastestForm,
  LEAST_AGREEMENT,
  LEAST_GAIN,
  type Trials,
  type TriedForm,
} from "./fastestForm.js";
export type { Form } from "./forms.js";
export { timeByTurns } from "./timeByTurns.js";
