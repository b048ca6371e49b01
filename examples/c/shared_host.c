// SPDX-License-Identifier: MIT

/* A C program that loads the plugin from a file that it knows, wherever GStreamer looks for plugins.
 *
 *   cc examples/c/shared_host.c -o shared_host $(pkg-config --cflags --libs gstreamer-1.0)
 *   ./shared_host "$(pkg-config --variable=libdir gstrustaudio)/gstreamer-1.0/libgstrustaudio.so" LINE...
 *
 * Plays the line given as the further arguments. */
#include "play.h"

int main(int argc, char **argv) {
  GError *error = NULL;
  gst_init(&argc, &argv);
  if (argc < 3) {
    fprintf(stderr, "usage: %s LIBGSTRUSTAUDIO.SO LINE...\n", argv[0]);
    return 2;
  }
  GstPlugin *plugin = gst_plugin_load_file(argv[1], &error);
  if (!plugin) {
    fprintf(stderr, "%s\n", error->message);
    return 2;
  }
  int status = play(argv + 2);
  gst_object_unref(plugin);
  return status;
}
