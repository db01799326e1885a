/** How a product shapes the JSON of its public routes. */
import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { AppError } from "../domain/errors.ts";

/** An answer before it is text. */
export interface JsonAnswer {
  readonly status: number;
  /** Anything that `JSON.stringify` takes. */
  readonly body: unknown;
}

export interface Presenter {
  success(method: DescMethod, response: Message): JsonAnswer;
  failure(error: AppError): JsonAnswer;
}
