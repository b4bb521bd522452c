{{- define "migrations.podSpec" -}}
restartPolicy: Never
containers:
  - name: {{ .name }}
    image: example.com/migrations:{{ .root.Chart.AppVersion }}
    args: {{ .args | toJson }}
{{- end -}}
