/** How text columns are declared. */
/** Text that is compared and ordered byte for byte, whatever the database's locale is. */
export const TEXT = 'TEXT COLLATE "C"';
