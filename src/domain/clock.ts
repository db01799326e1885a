/** Time and chance come in from outside, so that tests can hold them still. */

/** Milliseconds since the epoch. */
export type Clock = () => number;

/** `size` bytes from a cryptographically secure generator. */
export type Entropy = (size: number) => Uint8Array;
