// Limits of EROFS images on several devices. docs/limits.md explains them.

/** Devices beside the image itself. The tree has 255 content sources, two of which are in the image. */
export const MAX_DEVICES = 253;
/**
 * Bytes that a device may be longer than the image says. An archive is such a device, and tools fill up archives: usually to
 * 10,240 bytes.
 */
export const MAX_DEVICE_PADDING = 1 << 20;
/** Files of a folder that are looked at for a device without a tag. */
export const MAX_FOLDER_FILES = 10_000;
