export interface ParamsOptions { readonly modelConfig: string; readonly adapterConfig: string; readonly json?: boolean }
export async function paramsCommand(options: ParamsOptions): Promise<number> { return 0; }
