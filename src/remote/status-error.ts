import { causeOf } from "../errors.ts";

/** The cause inside an error: what a server answered. */
export class StatusError extends Error {
  readonly status: number;

  constructor(status: number, message = String(status)) {
    super(message);
    this.status = status;
  }
}

/** The status inside an error, or undefined when it is about something else. */
export const statusOf = (error: unknown): number | undefined => causeOf(error, StatusError)?.status;
