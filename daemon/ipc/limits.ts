// Limits of the memory that a peer on a message channel can make us hold.

/** Bytes of JSON. A connection with a full receive buffer takes 24 KiB, a list of settings far less. */
export const MAX_MESSAGE_LENGTH = 1024 * 1024;
/** What the addon takes in one call. */
export const MAX_MESSAGE_DESCRIPTORS = 64;
