// Preloaded with --import: a clock that is set an hour ahead soon after a process started, and back later. What
// Node itself waits for goes by another clock, which nobody can set.
const RealDate = Date;
const started = RealDate.now();
const HOUR_MS = 3_600_000;

function shift() {
  const age = RealDate.now() - started;
  if (age < 2000) return 0;
  return age < 8000 ? HOUR_MS : -HOUR_MS;
}

globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + shift());
    else super(...args);
  }
  static now() {
    return RealDate.now() + shift();
  }
};
