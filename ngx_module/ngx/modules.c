/* What nginx's dlopen loader looks up; its own build system would generate this file. */
#include <ngx_config.h>
#include <ngx_core.h>

#define WEFT_EXPORT __attribute__((visibility("default")))

extern ngx_module_t ngx_http_weft_module;

extern WEFT_EXPORT ngx_module_t *ngx_modules[];
extern WEFT_EXPORT char *ngx_module_names[];
extern WEFT_EXPORT char *ngx_module_order[];

ngx_module_t *ngx_modules[] = {&ngx_http_weft_module, NULL};
char *ngx_module_names[] = {"ngx_http_weft_module", NULL};
char *ngx_module_order[] = {NULL};
