/**
 * What "within a second" may take from outside, in milliseconds: the process is to be scheduled, and its end to be
 * seen, on a machine that has other things to do. What hangs takes much longer.
 */
export const promptly = 5000;
