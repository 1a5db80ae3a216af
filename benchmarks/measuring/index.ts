// How fast this project itself is: training steps, compilation, stages of cells (npm run bench), and
// the report of ten thousand cells (npm run bench:report). A newcomer adds what should be measured;
// speed is never asserted by tests.
export { preparedTraining, runningTraining } from "./preparedTraining.js";
