// SPDX-License-Identifier: MIT

/* A C program with the plugin linked in, for servers that ship one file.
 *
 *   cargo rustc --release --lib --crate-type staticlib
 *   cc examples/c/static_host.c -o static_host target/release/libgstrustaudio.a \
 *      $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-base-1.0 gstreamer-audio-1.0 gio-2.0) -lm -ldl
 *
 * or, after `cargo cinstall --release --library-type=staticlib`,
 *
 *   cc examples/c/static_host.c -o static_host $(pkg-config --cflags --libs --static gstrustaudio)
 *
 * Plays the line given as arguments. */
#include "play.h"

/* Of the plugin: calls gst_plugin_register_static() with what gst-inspect-1.0 shows of it. */
void gst_plugin_rustaudio_register(void);

int main(int argc, char **argv) {
  gst_init(&argc, &argv);
  gst_plugin_rustaudio_register();
  return play(argv + 1);
}
