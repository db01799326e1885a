/** Port: keeps passwords as slow hashes. */

export interface PasswordHasher {
  /** A PHC string to store. */
  hash(password: string): Promise<string>;
  /**
   * Whether the password belongs to the hash. With no hash it answers false after the same work, so that
   * the time taken doesn't tell whether there is such a user.
   *
   * @throws AppError of kind `unavailable` when too many are waiting.
   */
  verify(hash: string | undefined, password: string): Promise<boolean>;
}
