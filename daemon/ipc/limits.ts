// What a peer on a message channel can make us hold.

/** Of JSON: a connection with a full receive buffer has 24 KiB, a list of settings far less. */
export const MAX_MESSAGE_LENGTH = 1024 * 1024;
/** What the addon takes in one call. */
export const MAX_MESSAGE_DESCRIPTORS = 64;
