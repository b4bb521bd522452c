<configuration>
{{- range $name, $level := .Values.levels }}
  <logger name="{{ $name }}" level="{{ $level | upper }}"/>
{{- end }}
</configuration>
