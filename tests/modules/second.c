/* Another module: what it answers and keeps must not be touched by the courier beside it. */
#include <stdlib.h>
#include <string.h>

#include "module.h"

static int calls;

static int count(struct item_request *request, struct item_result *result)
{
	(void)request;
	result->ui64 = (uint64_t)++calls;
	result->type |= RESULT_UI64;
	return ITEM_OK;
}

static int echo(struct item_request *request, struct item_result *result)
{
	if (request->parameter_count != 1) {
		result->message = strdup("one parameter, please");
		result->type |= RESULT_MESSAGE;
		return ITEM_FAIL;
	}
	result->string = strdup(request->parameters[0]);
	result->type |= RESULT_STRING;
	return ITEM_OK;
}

static struct item_key keys[] = {
	{"second.count", 0, count, NULL},
	{"second.echo", KEY_HAS_PARAMETERS, echo, "test"},
	{NULL, 0, NULL, NULL},
};

int zbx_module_api_version(void)
{
	return MODULE_API_VERSION;
}

int zbx_module_init(void)
{
	return MODULE_OK;
}

int zbx_module_uninit(void)
{
	return MODULE_OK;
}

struct item_key *zbx_module_item_list(void)
{
	return keys;
}
