/** `org/name`, or the name alone of the oldest models. */
export const HUB_ID: RegExp = /^(?:[A-Za-z0-9_][\w.-]{0,95}\/)?[A-Za-z0-9_][\w.-]{0,95}$/;
