/** The key that stands beside a product's name. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <circle cx="12" cy="16" r="5" />
      <path d="M17 16h9m-3 0v4m-3-4v3" />
    </svg>
  );
}
