/** One step of the schema. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** Text that is compared and ordered byte for byte, whatever the database's locale is. */
export const TEXT = 'TEXT COLLATE "C"';
