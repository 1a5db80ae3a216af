// Whether this machine trains to the expected bits: `npm run bits`, or the built file under an emulator.
import { EXPECTED_BITS, portableBits } from "./portableBits.js";

let differing = 0;
await portableBits((name, hash) => {
  const expected = EXPECTED_BITS[name];
  const equal = hash === expected;
  if (!equal) differing += 1;
  const verdict = equal ? "as expected" : `DIFFERS, expected ${expected ?? "nothing"}`;
  process.stdout.write(`${name}: ${hash} ${verdict}\n`);
});
process.stdout.write(
  `Node ${process.versions.node}, ${process.arch}: ${differing === 0 ? "every bit is as expected" : `${String(differing)} trainings differ`}\n`,
);
process.exitCode = differing === 0 ? 0 : 1;
