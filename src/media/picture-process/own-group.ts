/** Whether a picture process leads a group of its own, with the ffmpeg that it starts. Windows has no groups. */
export const hasOwnGroup = process.platform !== 'win32';
