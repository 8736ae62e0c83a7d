// Exit codes of all commands ("Output and exit codes" in docs/cli.md).

/** Done, or stopped in order by SIGTERM or SIGINT. */
export const EXIT_OK = 0;
/** `verify` found something wrong, or an image, a file or an address could not be used. */
export const EXIT_FAILURE = 1;
/** The command line or a configuration file is wrong. */
export const EXIT_USAGE = 2;
