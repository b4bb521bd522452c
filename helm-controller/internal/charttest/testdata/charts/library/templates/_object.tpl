{{/*
Merges what a chart says into what all charts say. Call it with a list of context, and the name of a template of the chart.
*/}}
{{- define "library.merge" -}}
{{- $top := first . -}}
{{- $over := fromYaml (include (index . 1) $top) | default dict -}}
{{- $base := fromYaml (include (index . 2) $top) | default dict -}}
{{- toYaml (mergeOverwrite $base $over) -}}
{{- end -}}

{{- define "library.metadata" -}}
metadata:
  name: {{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
  labels:
    app.kubernetes.io/name: {{ .Chart.Name }}
    app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
