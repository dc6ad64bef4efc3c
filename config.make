# Read by nginx's configure when it writes its Makefile: adds the module to `make modules`.
cat << END >> $NGX_MAKEFILE

modules: ngx_http_weft_module

.PHONY: ngx_http_weft_module
ngx_http_weft_module:
	cmake --build $weft_objs/weft --target ngx_http_weft_module

END
