/** Asked anew: the compiler takes a signal that was not aborted before a wait to be so still. */
export const isAborted = (signal: AbortSignal): boolean => signal.aborted;
